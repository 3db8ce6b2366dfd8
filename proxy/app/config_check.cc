#include "app/config_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "app/config_units.h"
#include "ids/allocators.h"
#include "relay/path_pattern.h"

namespace ssequel::app::config {
namespace {

using gateway::Options;
using gateway::StoreKind;
using relay::KeyPart;
using relay::Mode;
using relay::Route;
using relay::Strategy;

// One object that is reviewed, the whole file or a route, and its keys.
class Subject {
 public:
  Subject(const Review& review, std::string prefix) : review_(review), prefix_(std::move(prefix)) {}

  [[nodiscard]] std::string path(std::string_view key) const {
    if (key.empty()) return prefix_;
    return prefix_.empty() ? std::string(key) : fmt::format("{}.{}", prefix_, key);
  }
  [[nodiscard]] bool is_given(std::string_view key) const { return review_.places.contains(path(key)); }

  // A problem at that key, or at the route as a whole if the key is not given. Not if the key has one already: what the
  // check looked at is then the default and nobody's word.
  void refuse(std::string_view key, std::string text) const {
    if (review_.problems.has(path(key))) return;
    review_.problems.add(place(key), path(key), std::move(text));
  }
  void warn(std::string_view key, std::string text) const {
    review_.warnings.add(place(key), path(key), std::move(text));
  }

 private:
  [[nodiscard]] Mark place(std::string_view key) const {
    auto found = review_.places.find(path(key));
    if (found == review_.places.end()) found = review_.places.find(prefix_);
    return found == review_.places.end() ? Mark{} : found->second;
  }

  const Review& review_;
  std::string prefix_;
};

bool is_same_place(const net::Address& a, const net::Address& b) {
  if (a.kind != b.kind) return false;
  return a.kind == net::Address::Kind::Unix ? a.path == b.path : a.port == b.port && a.port != 0 && a.host == b.host;
}

bool reaches(const UpstreamUrl& upstream, const net::Address& listen) {
  if (upstream.is_unix) return listen.kind == net::Address::Kind::Unix && listen.path == upstream.path;
  if (listen.kind == net::Address::Kind::Unix || listen.port != upstream.port) return false;
  const bool is_loopback = upstream.host == "localhost" || upstream.host == "127.0.0.1" || upstream.host == "::1";
  return listen.host == upstream.host || (is_loopback && (listen.host == "0.0.0.0" || listen.host == "::"));
}

void review_addresses(const Options& options, const Subject& file) {
  for (std::size_t i = 0; i < options.listen.size(); ++i) {
    const auto& listen = options.listen[i];
    const auto key = file.is_given("listen[0]") ? fmt::format("listen[{}]", i) : std::string("listen");
    if (reaches(options.upstream, listen)) {
      file.refuse("upstream", fmt::format("found {}, where the proxy itself listens, allowed: another address",
                                          options.upstream.to_string()));
    }
    if (is_same_place(listen, options.admin)) {
      file.refuse(file.is_given("admin") ? "admin" : key,
                  fmt::format("found {} for both listen and admin, allowed: two addresses", listen.to_string()));
    }
    const auto first = std::find_if(options.listen.begin(), options.listen.begin() + static_cast<std::ptrdiff_t>(i),
                                    [&](const auto& other) { return is_same_place(other, listen); });
    if (first != options.listen.begin() + static_cast<std::ptrdiff_t>(i)) {
      file.refuse(key, fmt::format("found {} twice, allowed: each address once", listen.to_string()));
    }
  }
}

// What each store needs.
void review_store(const Options& options, const Subject& file) {
  switch (options.store.kind) {
    case StoreKind::Memory:
      break;
    case StoreKind::Disk:
      if (!options.store.path.starts_with('/')) {
        file.refuse("store.path", fmt::format("found {}, allowed: an absolute path", options.store.path));
      }
      break;
    case StoreKind::Redis:
      break;  // redis.url is an address: it was read as one.
  }
}

void review_node_id(const Route& route, const Subject& subject, const Review& review) {
  const std::uint64_t nodes = 1ULL << route.ids.node_bits;
  if (route.ids.node_id) {
    if (*route.ids.node_id >= nodes) {
      subject.refuse("ids.node_id", fmt::format("found {}, allowed: below {}, as node_bits is {}", *route.ids.node_id,
                                                nodes, route.ids.node_bits));
    }
    return;
  }
  if (route.ids.strategy != Strategy::Snowflake || review.places.contains("redis")) return;
  const auto pod_name = review.env("POD_NAME");
  const auto number = pod_name ? ids::ordinal_of(*pod_name) : std::nullopt;
  if (number && *number < nodes) return;
  const auto found = !pod_name ? "no POD_NAME in the environment"
                     : !number ? "a POD_NAME without an ordinal at its end"
                               : "a POD_NAME with an ordinal that is too great for node_bits";
  subject.refuse(
      subject.is_given("ids.node_id") ? "ids.node_id" : "ids.strategy",
      fmt::format("found {}, allowed: a node_id below {}, a POD_NAME such as web-0, or redis", found, nodes));
}

void review_ids(const Route& route, const Subject& subject, const Review& review) {
  if (route.ids.start && route.ids.strategy != Strategy::Sequence) {
    subject.refuse("ids.start",
                   fmt::format("found {}, allowed: auto, as ids.strategy is not sequence", *route.ids.start));
  }
  review_node_id(route, subject, review);
  if (route.ids.strategy == Strategy::Postgres && !ids::has_postgres()) {
    subject.refuse("ids.strategy",
                   "found postgres, allowed: sequence, redis, ulid or snowflake; this program was built without "
                   "PostgreSQL");
  }
  if (!route.ids.start) return;
  if (route.mode == Mode::Session || route.ids.always_tag) {
    subject.warn("ids.start", "without effect: the ids of this route have a tag, and a tagged log begins at 1");
  } else {
    const bool is_memory = review.options.store.kind == StoreKind::Memory;
    subject.warn(
        "ids.start",
        fmt::format("ids that begin at {} are safe only while the store is never lost{}: ids that clients hold "
                    "are then given again, to other events",
                    *route.ids.start,
                    is_memory ? "; with store.kind memory it is lost at each restart"
                              : " (keep store.path on a volume that outlives the pod)"));
  }
}

void review_window(const Route& route, const Subject& subject, const Subject& file, const Review& review) {
  if (route.event_bytes > route.window.bytes / 2) {
    const auto text = fmt::format("a window of {} with limits.event_bytes {}", print_size(route.window.bytes),
                                  print_size(route.event_bytes));
    if (subject.is_given("window.bytes")) {
      subject.refuse("window.bytes",
                     fmt::format("found {}, allowed: at least {}", text, print_size(route.event_bytes * 2)));
    } else {
      file.refuse("limits.event_bytes", fmt::format("found {} in route {}, allowed: at most {}", text, route.name,
                                                    print_size(route.window.bytes / 2)));
    }
  }
  const auto events = route.window_events();
  if (route.start_at.kind == relay::StartAt::Kind::Last && events != 0 && route.start_at.last > events) {
    subject.refuse("start_at", fmt::format("found last: {}, allowed: at most {}, which is window.events",
                                           route.start_at.last, events));
  }
  const auto store_bytes = review.options.limits.store_bytes;
  if (store_bytes && *store_bytes < route.window.bytes) {
    file.warn("limits.store_bytes",
              fmt::format("all windows together have {}, less than the window of route {} alone, {}",
                          print_size(*store_bytes), route.name, print_size(route.window.bytes)));
  }
}

void review_shared(const Route& route, const Subject& subject, const Review& review) {
  if (route.reconnect_min > route.reconnect_max) {
    subject.refuse(subject.is_given("reconnect.min") ? "reconnect.min" : "reconnect.max",
                   fmt::format("found a min of {} over a max of {}, allowed: min up to max",
                               print_duration(route.reconnect_min), print_duration(route.reconnect_max)));
  }
  const bool is_plain_key = std::all_of(route.key.begin(), route.key.end(), [](const KeyPart& part) {
    return part.kind == KeyPart::Kind::Path || part.kind == KeyPart::Kind::Query;
  });
  if (!route.eager.empty() && !is_plain_key) {
    subject.refuse("eager",
                   "found targets, allowed: [] unless key is [path] or [path, query]; nobody is there yet from "
                   "whom host, identity, a field or a cookie could be taken");
  }
  for (std::size_t i = 0; i < route.eager.size(); ++i) {
    const std::string_view target = route.eager[i];
    if (relay::path_matches(route.match.path, target.substr(0, target.find('?')))) continue;
    subject.refuse(fmt::format("eager[{}]", i),
                   fmt::format("found {}, allowed: targets that match.path, {}, matches", target, route.match.path));
  }
  if (route.producers == relay::Producers::All) {
    if (review.options.store.kind != StoreKind::Redis) {
      subject.refuse("producers", "found all, allowed: one, as store.kind is not redis");
    }
    if (route.ids.strategy != Strategy::Sequence) {
      subject.refuse("ids.strategy",
                     fmt::format("found {} with producers: all, allowed: sequence, as the store gives the ids",
                                 relay::name_of(route.ids.strategy)));
    }
    const bool is_told = std::none_of(route.key.begin(), route.key.end(), [](const KeyPart& part) {
      return part.kind == KeyPart::Kind::Header || part.kind == KeyPart::Kind::Cookie ||
             part.kind == KeyPart::Kind::Identity;
    });
    if (!is_told) {
      subject.warn("key",
                   "with producers: all a node reads its service for clients elsewhere only if it can make the request "
                   "by itself: with an identity, a field or a cookie in the key, nodes without such a client of their "
                   "own leave their part out");
    }
  } else if (review.options.store.kind == StoreKind::Redis && !subject.is_given("producers")) {
    subject.warn("producers",
                 "one: one node reads its service for the clients of all, so every replica must emit the same events; "
                 "if each emits only its own, set producers: all; "
                 "set producers: one to say that they do");
  }
  if (route.key_has_identity() && route.identity.fields.empty() && route.identity.authorize.empty()) {
    subject.warn("identity.fields", "without fields every request has the same identity: the key tells nobody apart");
  }
}

void review_session(const Route& route, const Subject& subject) {
  if (route.linger == relay::kForever) {
    subject.warn("linger", "each abandoned session keeps its upstream request until that ends or orphans are too many");
  }
}

void review_route(const Route& route, const Subject& subject, const Subject& file, const Review& review) {
  review_ids(route, subject, review);
  review_window(route, subject, file, review);
  switch (route.mode) {
    case Mode::Session:
      review_session(route, subject);
      break;
    case Mode::Shared:
      review_shared(route, subject, review);
      break;
  }
  if (!route.identity.authorize.empty() && route.authorize.kind != relay::Authorize::Kind::Path) {
    subject.refuse("identity.authorize", fmt::format("found {}, allowed: \"\" unless authorize is {{path: /PATH}}",
                                                     route.identity.authorize));
  }
  if (route.heartbeat.count() == 0) {
    subject.warn("heartbeat",
                 "without heartbeats, intermediaries cut a stream that is silent for long (many after 60 s)");
  }
}

// True if no request that `later` matches gets past `earlier`; says false when in doubt.
bool covers(const relay::Match& earlier, const relay::Match& later) {
  const bool path = earlier.path == later.path || earlier.path == "/**";
  const bool accept = earlier.accept == relay::Accept::Any || earlier.accept == later.accept;
  return path && accept && std::all_of(later.methods.begin(), later.methods.end(), [&](const auto& method) {
           return std::find(earlier.methods.begin(), earlier.methods.end(), method) != earlier.methods.end();
         });
}

void review_order(const std::vector<Route>& routes, const Review& review) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const Subject subject(review, fmt::format("routes[{}]", i));
    if (!names.insert(routes[i].name).second) {
      subject.refuse(subject.is_given("name") ? "name" : "match.path",
                     fmt::format("found a second route named {}, allowed: names that differ (without one, a route is "
                                 "named for its path)",
                                 routes[i].name));
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (!covers(routes[j].match, routes[i].match)) continue;
      subject.warn("match", fmt::format("never reached: route {} before it takes every such request", routes[j].name));
      break;
    }
  }
}

}  // namespace

void review(const Review& review) {
  const auto& options = review.options;
  const Subject file(review, "");
  review_addresses(options, file);
  review_store(options, file);
  if (options.drain.delay.count() != 0 && options.drain.delay >= options.drain.timeout) {
    file.warn(file.is_given("drain.timeout") ? "drain.timeout" : "drain.delay",
              "a drain is over before its delay is: nothing in flight gets time to finish");
  }
  for (std::size_t i = 0; i < options.routes.size(); ++i) {
    review_route(options.routes[i], Subject(review, fmt::format("routes[{}]", i)), file, review);
  }
  review_order(options.routes, review);
}

}  // namespace ssequel::app::config
