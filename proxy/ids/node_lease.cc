#include "ids/node_lease.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/base62.h"

namespace ssequel::ids {
namespace {

// KEYS: the hash. ARGV: token, lease (ms), bound (Unix ms), how many numbers there are, where to begin, the number that
// is held or -1. Answers {number, bound of who had it before}.
const redis::Script& hold_script() {
  static const redis::Script script(R"lua(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function read(node)
  local held = redis.call('HGET', KEYS[1], node)
  if not held then return nil end
  return string.match(held, '^(%S+) (%d+) (%d+)$')
end
local function take(node, before)
  local bound = math.max(tonumber(ARGV[3]), tonumber(before))
  redis.call('HSET', KEYS[1], node, ARGV[1] .. ' ' .. string.format('%.0f', now + ARGV[2]) .. ' ' ..
    string.format('%.0f', bound))
  return {node, before}
end
local mine = tonumber(ARGV[6])
if mine >= 0 then
  local token, expiry, bound = read(mine)
  if token == ARGV[1] then return take(mine, bound) end
end
local count = tonumber(ARGV[4])
for i = 0, count - 1 do
  local node = (ARGV[5] + i) % count
  local token, expiry, bound = read(node)
  if not token or tonumber(expiry) <= now then return take(node, bound or '0') end
end
return redis.error_reply('NONODE all numbers of nodes are taken')
)lua");
  return script;
}

// ARGV: token, number, the latest time that an id bears.
const redis::Script& release_script() {
  static const redis::Script script(R"lua(
local held = redis.call('HGET', KEYS[1], ARGV[2])
if not held or string.match(held, '^(%S+) ') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[1] .. ' 0 ' .. ARGV[3])
return 1
)lua");
  return script;
}

std::string make_token(Random& random) {
  std::array<std::byte, 16> bits{};
  random.fill(bits);
  return base62::encode_tag(bits);
}

std::optional<std::uint64_t> number_of(const redis::Reply& reply) {
  if (reply.kind == redis::Reply::Kind::Integer) return static_cast<std::uint64_t>(reply.integer);
  std::uint64_t number = 0;
  const auto* end = reply.text.data() + reply.text.size();
  if (std::from_chars(reply.text.data(), end, number).ptr != end || reply.text.empty()) return std::nullopt;
  return number;
}

}  // namespace

NodeLease::NodeLease(net::DeadlineQueue& deadlines, Random& random, const Clock& clock, redis::Client& client,
                     Ledger& ledger, NodeLeaseOptions options, std::shared_ptr<NodeSeat> seat)
    : clock_(clock),
      client_(client),
      ledger_(ledger),
      options_(std::move(options)),
      seat_(std::move(seat)),
      token_(make_token(random)),
      hint_(random.up_to((std::uint64_t{1} << options_.node_bits) - 1)),
      renewal_(deadlines, *this) {
  ask();
}

NodeLease::~NodeLease() {
  *alive_ = false;
  seat_->lose();
  if (!node_) return;
  const auto node = std::to_string(*node_);
  const auto used = std::to_string(seat_->used_ms());
  client_.run(release_script(), std::array<std::string_view, 1>{options_.key},
              std::array<std::string_view, 3>{token_, node, used}, [](const redis::Answer&) {});
}

void NodeLease::wake() {
  if (renewal_.is_set() && !seat_->claim(clock_.now())) {
    renewal_.cancel();
    ask();
  }
}

void NodeLease::ask() {
  if (is_asking_) return;
  is_asking_ = true;
  const auto lease = std::to_string(options_.lease.count());
  const auto bound_ms = std::max(now_ms(), seat_->used_ms()) + 3 * static_cast<std::uint64_t>(options_.lease.count());
  const auto bound = std::to_string(bound_ms);
  const auto count = std::to_string(std::uint64_t{1} << options_.node_bits);
  const auto hint = std::to_string(hint_);
  const auto mine = node_ ? std::to_string(*node_) : "-1";
  client_.run(hold_script(), std::array<std::string_view, 1>{options_.key},
              std::array<std::string_view, 6>{token_, lease, bound, count, hint, mine},
              [this, alive = alive_, asked_at = clock_.now(), bound_ms](const redis::Answer& answer) {
                if (*alive) on_answer(answer, asked_at, bound_ms);
              });
}

void NodeLease::on_answer(const redis::Answer& answer, Millis asked_at, std::uint64_t bound_ms) {
  is_asking_ = false;
  const auto node = answer && answer->elements.size() == 2 ? number_of(answer->elements[0]) : std::nullopt;
  const auto before = node ? number_of(answer->elements[1]) : std::nullopt;
  if (!before) {
    ledger_.failed("node", answer ? "an answer that is none" : answer.error().context);
    return renewal_.set(options_.lease / 6);
  }
  // What we had ourselves is no bar; what another one had is, and our own bound lies above it from now on.
  const bool is_new = node != node_;
  node_ = node;
  if (is_new && *before != 0) seat_->used(*before);
  if (is_new) after_ms_ = *before;
  seat_->hold(
      {.node = *node, .after_ms = after_ms_, .bound_ms = bound_ms, .until = asked_at + options_.lease * 9 / 10});
  ledger_.works("node");
  // Above another one's bound there is no room yet: the next answer makes some.
  if (is_new && *before >= bound_ms) return ask();
  renewal_.set(options_.lease / 3);
}

void NodeLease::on_deadline(net::Deadline&) { ask(); }

}  // namespace ssequel::ids
