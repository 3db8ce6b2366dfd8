#include "gateway/channel_table.h"

#include <algorithm>
#include <array>

#include "base/base62.h"
#include "gateway/worker.h"
#include "relay/identity.h"
#include "relay/stream_head.h"

namespace ssequel::gateway {
namespace {

constexpr Millis kExpiry{5000};

}  // namespace

ChannelTable::ChannelTable(Worker& worker) : worker_(worker), expiry_(worker.deadlines(), *this) {}

ChannelTable::~ChannelTable() = default;

ChannelHost* ChannelTable::find(std::string_view key) {
  const auto at = channels_.find(std::string(key));
  return at == channels_.end() ? nullptr : at->second.get();
}

ChannelHost* ChannelTable::add(relay::Channel::Setup setup, SessionBinding binding, bool is_kept) {
  if (!expiry_.is_set()) expiry_.set(kExpiry);
  if (auto* store = worker_.store(); store && !is_kept) {
    const auto& route = *setup.route;
    replay::LogRecord record{.key = setup.key,
                             .route = route.name,
                             .signature = relay::log_signature(route),
                             .form = setup.id_form,
                             .first_number = setup.first_number,
                             .has_start = route.ids.start.has_value() && setup.id_form.tag.empty(),
                             .strategy = relay::name_of(route.ids.strategy),
                             .is_session = route.mode == relay::Mode::Session,
                             .method = setup.method,
                             .target = setup.target,
                             .host = setup.host,
                             .identity = binding.identity,
                             .path = binding.path,
                             .origin = binding.origin,
                             .reattach = binding.reattach};
    setup.log = std::make_shared<replay::ReplayLog>(setup.id_form, setup.first_number, route.bounds());
    setup.journal = store->open(record, setup.log);
  }
  if (auto* sequencers = worker_.sequencers())
    setup.sequencer = sequencers->open(*setup.route, setup.key, setup.id_form);
  auto key = setup.key;
  const bool has_start = setup.route->ids.start.has_value() && setup.id_form.tag.empty();
  auto& counters = worker_.route_counters(setup.route->name);
  auto host = std::make_unique<ChannelHost>(worker_, std::move(setup), counters);
  auto* opened = host.get();
  opened->binding() = std::move(binding);
  if (const auto& digest = opened->binding().reattach; !digest.empty()) {
    worker_.house().reattachments.settle(digest, key);
  }
  if (has_start) with_start_.emplace(relay::start_key(key), opened);
  channels_.emplace(std::move(key), std::move(host));
  note_watch(*opened);
  worker_.house().channels.fetch_add(1, std::memory_order_relaxed);
  return opened;
}

void ChannelTable::begin_shared(relay::Channel::Setup& setup, const relay::Route& route, const std::string& key,
                                bool has_identity) {
  auto& house = worker_.house();
  // A tag where ids could be mistaken for a neighbour's, or tell one identity of another.
  if (route.ids.always_tag || (has_identity && route.ids.counts_by_channel())) {
    std::array<std::byte, 16> bits{};
    house.random.fill(bits);
    setup.id_form.tag = base62::encode_tag(bits);
    setup.first_number = 1;
  } else if (route.ids.start) {
    setup.first_number = begin_with_start(*route.ids.start, std::string(relay::start_key(key)));
  } else if (route.ids.strategy != relay::Strategy::Sequence) {
    setup.first_number = 0;  // An id is allocated for its base.
  } else {
    setup.first_number = house.beginnings.begin_at_time(house.clock.unix_micros());
  }
  setup.id_form.spelling = route.ids.spelling();
}

ChannelHost* ChannelTable::open_shared(std::shared_ptr<const relay::Route> route, std::string key, std::string target,
                                       std::string host, bool has_identity, bool is_eager) {
  if (!make_room()) return nullptr;
  relay::Channel::Setup setup;
  begin_shared(setup, *route, key, has_identity);
  setup.route = std::move(route);
  setup.key = std::move(key);
  setup.target = std::move(target);
  setup.host = std::move(host);
  setup.is_eager = is_eager;
  return add(std::move(setup), {});
}

replay::LogRecord ChannelTable::propose(const relay::Route& route, const std::string& key, bool has_identity) {
  relay::Channel::Setup setup;
  begin_shared(setup, route, key, has_identity);
  return {.key = key,
          .route = route.name,
          .signature = relay::log_signature(route),
          .form = setup.id_form,
          .first_number = setup.first_number,
          .has_start = route.ids.start.has_value() && setup.id_form.tag.empty(),
          .strategy = relay::name_of(route.ids.strategy)};
}

ChannelHost* ChannelTable::open_joined(std::shared_ptr<const relay::Route> route, replay::SavedLog saved,
                                       std::string target, std::string host, bool is_eager) {
  if (!make_room()) {
    worker_.store()->abandon(saved);
    return nullptr;
  }
  auto head = saved.head.empty() ? std::nullopt : relay::parse_stream_head(saved.head);
  const auto& record = saved.record;
  relay::Channel::Setup setup;
  setup.is_eager = is_eager;
  setup.has_connected = torn_.erase(record.key) != 0;
  setup.route = std::move(route);
  setup.id_form = record.form;
  setup.first_number = record.first_number;
  setup.key = record.key;
  setup.target = std::move(target);
  setup.host = std::move(host);
  if (record.is_session) setup.method = record.method;
  setup.log = saved.log;
  setup.kept = {.head = head ? std::make_shared<const relay::StreamHead>(std::move(*head)) : nullptr,
                .last_id = saved.last_id,
                .retry_ms = saved.retry_ms,
                .has_lost = false,
                .is_led = saved.is_led};
  SessionBinding binding{
      .identity = record.identity, .path = record.path, .origin = record.origin, .reattach = record.reattach};
  setup.journal = worker_.store()->adopt(saved);
  auto* opened = add(std::move(setup), std::move(binding), true);
  opened->channel().revive();
  account(*opened);
  return opened;
}

std::uint64_t ChannelTable::begin_with_start(std::uint64_t start, const std::string& start_key) {
  auto& house = worker_.house();
  const auto [first, last] = with_start_.equal_range(start_key);
  std::vector<ChannelHost*> earlier;
  for (auto at = first; at != last; ++at) earlier.push_back(at->second);
  bool goes_on = false;
  for (auto* host : earlier) {
    // A reload gave the key another signature: no request comes to this log any more. Who reads it still does.
    if (may_go(*host)) {
      retire(*host);
      continue;
    }
    house.beginnings.given(static_cast<std::uint64_t>(host->channel().log()->next_number()) - 1, start_key);
    goes_on = true;
  }
  return goes_on ? house.beginnings.begin_beside(start, start_key, house.clock.unix_micros())
                 : house.beginnings.begin_at(start, start_key);
}

ChannelHost* ChannelTable::open_session(std::shared_ptr<const relay::Route> route, std::string method,
                                        std::string target, std::string host, SessionBinding binding) {
  if (!make_room()) return nullptr;
  relay::Channel::Setup setup;
  // The tag names the loop too: it is thrown until it is one of ours.
  do {
    std::array<std::byte, 16> bits{};
    worker_.house().random.fill(bits);
    setup.id_form = {.tag = base62::encode_tag(bits), .carries_origin = true, .spelling = route->ids.spelling()};
  } while (&worker_.owner_of(setup.id_form.tag) != &worker_);
  setup.first_number = 1;
  setup.key = setup.id_form.tag;
  setup.route = std::move(route);
  setup.method = std::move(method);
  setup.target = std::move(target);
  setup.host = std::move(host);
  return add(std::move(setup), std::move(binding));
}

bool ChannelTable::revive(replay::SavedLog&& saved) {
  const auto& house = worker_.house();
  if (house.channels.load(std::memory_order_relaxed) >= worker_.settings().options.limits.channels) return false;
  const auto route = worker_.settings().route_of(saved.record);
  auto head = relay::parse_stream_head(saved.head);
  if (!route || !head || find(saved.record.key)) return false;
  relay::Channel::Setup setup;
  setup.is_eager = std::find(route->eager.begin(), route->eager.end(), saved.record.target) != route->eager.end();
  setup.route = route;
  setup.id_form = saved.record.form;
  setup.first_number = saved.record.first_number;
  setup.key = saved.record.key;
  setup.target = saved.record.target;
  setup.host = saved.record.host;
  setup.method = saved.record.method;
  setup.log = saved.log;
  setup.journal = worker_.store()->adopt(saved);
  setup.kept = {.head = std::make_shared<const relay::StreamHead>(std::move(*head)),
                .last_id = saved.last_id,
                .retry_ms = saved.retry_ms,
                .has_lost = saved.has_lost};
  auto* host = add(std::move(setup),
                   {.identity = saved.record.identity,
                    .path = saved.record.path,
                    .origin = saved.record.origin,
                    .reattach = saved.record.reattach},
                   true);
  host->channel().revive();
  account(*host);
  return true;
}

void ChannelTable::note_torn(const std::string& key) {
  constexpr std::size_t kMost = 100'000;
  if (torn_.size() < kMost) torn_.insert(key);
}

void ChannelTable::retire(ChannelHost& host) {
  host.channel().forget();
  release(host);
}

void ChannelTable::release(ChannelHost& host) {
  const auto at = channels_.find(host.channel().setup().key);
  if (at == channels_.end() || at->second.get() != &host) return;
  auto owned = std::move(at->second);
  channels_.erase(at);
  worker_.house().channels.fetch_sub(1, std::memory_order_relaxed);
  const auto& log = *host.channel().log();
  if (log.form().tag.empty() && host.channel().route().ids.strategy == relay::Strategy::Sequence) {
    const bool by_key = host.channel().route().ids.start.has_value();
    const std::string start_key(relay::start_key(host.channel().setup().key));
    worker_.house().beginnings.given(static_cast<std::uint64_t>(log.next_number()) - 1,
                                     by_key ? start_key : std::string());
    const auto [first, last] = with_start_.equal_range(start_key);
    const auto mine = std::find_if(first, last, [&host](const auto& entry) { return entry.second == &host; });
    if (mine != last) with_start_.erase(mine);
  }
  bytes_ -= host.counted_bytes;
  worker_.house().store_bytes.fetch_sub(host.counted_bytes, std::memory_order_relaxed);
  host.counted_bytes = 0;
  worker_.house().idle.remove(worker_, host.channel().setup().key);
  host.close();
  worker_.graveyard().take(std::move(owned));
}

// ------------------------------------------------------------------------------------------------------- limits

bool ChannelTable::may_go(ChannelHost& host) {
  return host.channel().readers() == 0 && !host.is_waited_for() && !host.channel().is_kept();
}

void ChannelTable::note_watch(ChannelHost& host) {
  const auto& key = host.channel().setup().key;
  if (find(key) != &host) return;
  auto& idle = worker_.house().idle;
  if (may_go(host)) {
    idle.put(worker_, key, host.channel().last_watched(), host.counted_bytes);
  } else {
    idle.remove(worker_, key);
  }
}

bool ChannelTable::make_room() {
  auto& house = worker_.house();
  const auto limit = worker_.settings().options.limits.channels;
  while (house.channels.load(std::memory_order_relaxed) >= limit) {
    auto idle = house.idle.take();
    if (!idle) return false;
    if (idle->worker == &worker_) {
      auto* host = find(idle->key);
      if (host && may_go(*host)) retire(*host);
      continue;
    }
    // The place is taken at once, and the channel goes as soon as its loop has a look.
    house.channels.fetch_sub(1, std::memory_order_relaxed);
    idle->worker->post([worker = idle->worker, key = std::move(idle->key)] { worker->channels().give_up(key); });
  }
  return true;
}

void ChannelTable::give_up(const std::string& key) {
  worker_.house().channels.fetch_add(1, std::memory_order_relaxed);
  auto* host = find(key);
  if (host && may_go(*host)) retire(*host);
}

bool ChannelTable::free_connection() {
  ChannelHost* oldest = nullptr;
  for (auto& [key, host] : channels_) {
    if (!may_go(*host) || !host->has_connection()) continue;
    if (!oldest || host->channel().last_watched() < oldest->channel().last_watched()) oldest = host.get();
  }
  if (!oldest) return false;
  retire(*oldest);
  return true;
}

void ChannelTable::recount(ChannelHost& host) {
  const auto bytes = host.channel().log()->window_bytes();
  const auto more = bytes - host.counted_bytes;  // May be "negative": both counts wrap alike.
  bytes_ += more;
  worker_.house().store_bytes.fetch_add(more, std::memory_order_relaxed);
  host.counted_bytes = bytes;
}

void ChannelTable::account(ChannelHost& host) {
  recount(host);
  if (host.channel().readers() == 0) note_watch(host);
  if (worker_.house().store_bytes.load(std::memory_order_relaxed) > worker_.settings().store_bytes) shed();
}

void ChannelTable::shed() {
  auto& house = worker_.house();
  // Other loops are at it: what they let go is not counted yet.
  if (house.sheds_under_way.load(std::memory_order_relaxed) != 0) return;
  const auto limit = worker_.settings().store_bytes;
  // A little more than needed, so that not every event has to look for a victim.
  const auto goal = limit - limit / 16;
  const auto used = house.store_bytes.load(std::memory_order_relaxed);
  if (used <= goal) return;
  auto need = used - goal;
  const auto ask = [&house](Worker& worker, auto what) {
    house.sheds_under_way.fetch_add(1, std::memory_order_relaxed);
    worker.post([&house, &worker, what = std::move(what)] {
      what(worker.channels());
      house.sheds_under_way.fetch_sub(1, std::memory_order_relaxed);
    });
  };
  for (auto& idle : house.idle.take_bytes(need)) {
    const auto bytes = std::min(need, idle.bytes);
    need -= bytes;
    if (idle.worker == &worker_) {
      shed_idle(idle.key, bytes);
    } else {
      ask(*idle.worker, [key = std::move(idle.key), bytes](ChannelTable& table) { table.shed_idle(key, bytes); });
    }
  }
  if (need == 0) return;
  const std::uint64_t loops = std::max<std::size_t>(1, house.workers.size());
  for (auto* worker : house.workers) {
    // Each loop a share of what is too much; what one has not got is found out the next time.
    if (worker != &worker_) ask(*worker, [share = need / loops](ChannelTable& table) { table.shed_watched(share); });
  }
  shed_watched(loops == 1 ? need : need / loops + 1);
}

void ChannelTable::shed_idle(const std::string& key, std::uint64_t bytes) {
  auto* host = find(key);
  if (!host) return;
  host->channel().shed(bytes);
  recount(*host);
  note_watch(*host);
}

void ChannelTable::shed_watched(std::uint64_t bytes) {
  std::vector<ChannelHost*> order;
  for (auto& [key, host] : channels_) {
    if (host->counted_bytes != 0) order.push_back(host.get());
  }
  std::sort(order.begin(), order.end(), [](ChannelHost* a, ChannelHost* b) {
    const bool a_watched = a->channel().readers() != 0;
    const bool b_watched = b->channel().readers() != 0;
    if (a_watched != b_watched) return b_watched;
    return a->channel().last_watched() < b->channel().last_watched();
  });
  const auto before = bytes_;
  for (auto* host : order) {
    const auto gone = before - bytes_;
    if (gone >= bytes) break;
    host->channel().shed(bytes - gone);
    recount(*host);
  }
}

void ChannelTable::on_deadline(net::Deadline&) {
  for_each([this](ChannelHost& host) {
    host.channel().expire();
    account(host);
    note_watch(host);
  });
  if (!channels_.empty()) expiry_.set(kExpiry);
}

void ChannelTable::close_all() {
  for_each([this](ChannelHost& host) { release(host); });
}

}  // namespace ssequel::gateway
