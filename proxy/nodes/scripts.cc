#include "nodes/scripts.h"

namespace ssequel::nodes {
namespace {

// What several scripts begin with. run: the server process's name; empty where INFO is refused.
constexpr const char* kCommon = R"lua(
local function whole(n) return string.format('%.0f', n) end
local function time()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[1] .. string.format('%06d', t[2])
end
local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
end
local function above(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end
-- producers: all. What was lost is told before anything else.
local function add_gap(meta, log, node, inc, at, lines)
  redis.call('HINCRBY', meta, 'number', 1)
  local m = redis.call('HMGET', meta, 'next', 'number')
  local next = whole(tonumber(m[1]) + 1)
  redis.call('XADD', log, next .. '-0', 'number', m[2], 'inc', inc, 'node', node, 'at', at, 'lines', lines)
  redis.call('HSET', meta, 'next', next, 'ctl', '0')
end
local function control(meta, log, name, value)
  local m = redis.call('HMGET', meta, 'next', 'ctl')
  local k = whole(tonumber(m[2]) + 1)
  redis.call('XADD', log, m[1] .. '-' .. k, 'control', name, 'value', value)
  redis.call('HSET', meta, 'ctl', k)
end
)lua";

constexpr const char* kJoin = R"lua(
local meta, log, nodes, given = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local word = 'found'
if redis.call('EXISTS', meta) == 0 then
  if ARGV[3] ~= '' then
    local highest = redis.call('HGET', given, ARGV[4])
    if highest and not above(ARGV[3], highest) then return {'given', highest} end
  end
  local now, micros = time()
  redis.call('DEL', log, nodes)
  -- Made again, it goes on above whatever control entries others have seen at this place.
  local ctl = ARGV[6] == '1' and whole(math.floor(now / 1000)) or '0'
  redis.call('HSET', meta, 'inc', micros, 'from', ARGV[5], 'next', ARGV[5], 'ctl', ctl, 'fence', '0', 'holder', '',
             'until', '0', 'run', run_id(), 'lost', ARGV[6])
  if ARGV[7] ~= '0' then
    redis.call('HSET', meta, 'fence', '1', 'holder', ARGV[1], 'until', whole(now + tonumber(ARGV[7])))
  end
  for i = 10, #ARGV, 2 do redis.call('HSET', meta, ARGV[i], ARGV[i + 1]) end
  if ARGV[8] ~= '' then add_gap(meta, log, ARGV[1], micros, ARGV[9], ARGV[8]) end
  word = 'made'
end
redis.call('PEXPIRE', meta, ARGV[2])
local answer = redis.call('HGETALL', meta)
table.insert(answer, 1, word)
return answer
)lua";

constexpr const char* kPulse = R"lua(
local node, ttl = ARGV[1], tonumber(ARGV[2])
local now, micros = time()
local run = run_id()
local answer = {'ok'}
local function tell(...) for _, value in ipairs({...}) do answer[#answer + 1] = value end end
for i = 1, #KEYS, 3 do
  local meta, log, nodes = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local a = 2 + (i - 1) * 2
  local watch, foremost, fence, place = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], tonumber(ARGV[a + 4])
  local m = redis.call('HMGET', meta, 'inc', 'from', 'next', 'fence', 'holder', 'until', 'run', 'refused', 'lost',
                       'seen')
  if not m[1] then
    tell('gone', '0', '0', '0', '0', '0', '0', '-1', '0', '1')
  else
    local refused = m[8] or ''
    local function has_refused(name) return string.find(refused, ' ' .. name .. ' ', 1, true) end
    local wanting, open, ahead = 0, 0, -1
    local known = redis.call('HGETALL', nodes)
    for j = 1, #known, 2 do
      if known[j] ~= node then
        local till, what, at = string.match(known[j + 1], '^(%d+) (%d) (%d+)$')
        if tonumber(till) < now then
          redis.call('HDEL', nodes, known[j])
        else
          ahead = math.max(ahead, tonumber(at))
          if not has_refused(known[j]) then
            open = open + 1
            if what == '1' then wanting = wanting + 1 end
          end
        end
      end
    end
    local patience = watch == '4' and 2 * ttl or 0
    if watch == '4' then watch = '1' end
    if watch == '1' or watch == '2' then
      redis.call('HSET', nodes, node, whole(now + ttl) .. ' ' .. watch .. ' ' .. foremost)
      redis.call('PEXPIRE', nodes, ARGV[a + 6])
    else
      redis.call('HDEL', nodes, node)
    end
    local holder, till, next = m[5], tonumber(m[6]), tonumber(m[3])
    local is_free = holder == '' or till + patience < now
    local is_mine = holder == node and m[4] == fence and m[1] == ARGV[a + 5]
    local same_run = run == m[7]
    -- A server that has just begun, or been promoted: the holder, who knows what there was, comes first.
    if is_free and holder ~= '' and not same_run then
      local seen, at = string.match(m[10] or '', '^(%w*) (%d+)$')
      if seen ~= run then redis.call('HSET', meta, 'seen', run .. ' ' .. whole(now)) end
      is_free = seen == run and now - tonumber(at) >= ttl
    end
    local lost = m[9]
    local word = 'follow'
    if is_mine and place <= next then
      word = 'lead'
      redis.call('HSET', meta, 'until', whole(now + ttl), 'run', run)
    elseif is_mine or (watch == '1' and (is_free or holder == node) and not has_refused(node)) then
      word = 'lead'
      if place > next or not same_run then
        if place > next then redis.call('HSET', meta, 'ctl', whole(math.floor(now / 1000))) end
        next = math.max(next, place)
        lost = '1'
        m[1], m[2] = micros, whole(next)
        redis.call('HSET', meta, 'inc', micros, 'from', m[2], 'next', m[2], 'lost', '1')
      end
      m[4] = whole(tonumber(m[4]) + 1)
      redis.call('HSET', meta, 'holder', node, 'fence', m[4], 'until', whole(now + ttl), 'run', run, 'batch', '', 'open',
                 '0')
      till = now + ttl
    elseif is_free then
      word = 'free'
      if (watch == '1' or watch == '2') and has_refused(node) and open == 0 then
        word = 'final'
        control(meta, log, 'final', '')
        redis.call('HDEL', meta, 'refused')
      end
    end
    redis.call('PEXPIRE', meta, ARGV[a + 6])
    redis.call('PEXPIRE', log, ARGV[a + 6])
    tell(word, m[4], m[1], m[2], whole(next), whole(math.max(0, till - now)), whole(wanting), whole(ahead), lost,
         same_run and '1' or '0')
  end
end
return answer
)lua";

constexpr const char* kAppend = R"lua(
local meta, log = KEYS[1], KEYS[2]
local m = redis.call('HMGET', meta, 'inc', 'fence', 'holder', 'next', 'ctl', 'batch')
if not m[1] then return {'gone'} end
if m[1] ~= ARGV[3] or m[2] ~= ARGV[2] or m[3] ~= ARGV[1] then return {'fenced'} end
if m[6] == ARGV[4] then return {'ok', m[4], m[5]} end
local next, ctl = tonumber(m[4]), tonumber(m[5])
if tonumber(ARGV[5]) ~= next then return {'behind', m[4]} end
local a = 9
while a <= #ARGV do
  local kind, count = ARGV[a], tonumber(ARGV[a + 1])
  if kind == 'e' then
    next, ctl = next + 1, 0
    redis.call('XADD', log, whole(next) .. '-0', unpack(ARGV, a + 2, a + 1 + count))
  elseif kind == 'c' then
    ctl = ctl + 1
    redis.call('XADD', log, whole(next) .. '-' .. whole(ctl), unpack(ARGV, a + 2, a + 1 + count))
  else
    redis.call('HSET', meta, unpack(ARGV, a + 2, a + 1 + count))
  end
  a = a + 2 + count
end
redis.call('HSET', meta, 'next', whole(next), 'ctl', whole(ctl), 'batch', ARGV[4])
if ARGV[8] ~= '' then
  redis.call('HSET', meta, 'number', ARGV[8])
  if ARGV[7] ~= '' then redis.call('HSET', KEYS[3], ARGV[7], ARGV[8]) end
end
if ARGV[6] ~= '' then redis.call('XTRIM', log, 'MINID', whole(tonumber(ARGV[6]) + 1) .. '-0') end
return {'ok', whole(next), whole(ctl)}
)lua";

constexpr const char* kSubmit = R"lua(
local meta, log = KEYS[1], KEYS[2]
local mine = 'batch:' .. ARGV[1]
local m = redis.call('HMGET', meta, 'inc', 'run', 'next', 'ctl', mine)
if not m[1] then return {'gone'} end
if m[1] ~= ARGV[2] then return {'fenced'} end
if m[2] ~= run_id() then return {'restarted'} end
if m[5] == ARGV[3] then return {'ok', m[3], m[4]} end
local next, ctl = tonumber(m[3]), tonumber(m[4])
local a = 6
while a <= #ARGV do
  local kind, count = ARGV[a], tonumber(ARGV[a + 1])
  if kind == 'e' then
    next, ctl = next + 1, 0
    redis.call('HINCRBY', meta, 'number', 1)
    redis.call('XADD', log, whole(next) .. '-0', 'number', redis.call('HGET', meta, 'number'),
               unpack(ARGV, a + 2, a + 1 + count))
  elseif kind == 'c' then
    ctl = ctl + 1
    redis.call('XADD', log, whole(next) .. '-' .. whole(ctl), unpack(ARGV, a + 2, a + 1 + count))
  else
    redis.call('HSET', meta, unpack(ARGV, a + 2, a + 1 + count))
  end
  a = a + 2 + count
end
redis.call('HSET', meta, 'next', whole(next), 'ctl', whole(ctl), mine, ARGV[3])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[3], ARGV[5], redis.call('HGET', meta, 'number')) end
if ARGV[4] ~= '' then redis.call('XTRIM', log, 'MINID', whole(tonumber(ARGV[4]) + 1) .. '-0') end
return {'ok', whole(next), whole(ctl)}
)lua";

constexpr const char* kRenew = R"lua(
local m = redis.call('HMGET', KEYS[1], 'inc', 'from', 'next', 'number')
if not m[1] then return {'gone'} end
if m[1] ~= ARGV[1] then return {'known', m[1], m[2]} end
local now, micros = time()
local from = whole(math.max(tonumber(m[3]), tonumber(ARGV[2])))
if from ~= m[3] then redis.call('HSET', KEYS[1], 'ctl', whole(math.floor(now / 1000))) end
local number = above(ARGV[3], m[4] or '0') and ARGV[3] or m[4]
redis.call('HSET', KEYS[1], 'inc', micros, 'from', from, 'next', from, 'run', run_id(), 'number', number)
add_gap(KEYS[1], KEYS[2], ARGV[4], micros, ARGV[5], ARGV[6])
return {'renewed', micros, from}
)lua";

constexpr const char* kRelease = R"lua(
local meta, log, nodes = KEYS[1], KEYS[2], KEYS[3]
if ARGV[4] == '1' then redis.call('HDEL', nodes, ARGV[1]) end
local m = redis.call('HMGET', meta, 'inc', 'fence', 'holder', 'refused')
if not m[1] then return {'ok'} end
local is_mine = m[1] == ARGV[3] and m[2] == ARGV[2] and m[3] == ARGV[1]
if is_mine then redis.call('HSET', meta, 'holder', '', 'until', '0', 'open', '0') end
if ARGV[5] == '2' then
  redis.call('HDEL', meta, 'refused')
  control(meta, log, 'final', '')
  return {'ok'}
end
if ARGV[5] == '1' then redis.call('HSET', meta, 'refused', (m[4] or ' ') .. ARGV[1] .. ' ') end
if is_mine then control(meta, log, 'free', '') end
return {'ok'}
)lua";

constexpr const char* kWanted = R"lua(
local now = time()
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], whole(now + tonumber(ARGV[1])) .. ' ' .. ARGV[i + 1]) end
local answer = {'ok'}
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  local till, what = string.match(known[i + 1], '^(%d+) (.*)$')
  if tonumber(till) < now then
    redis.call('HDEL', KEYS[1], known[i])
  else
    answer[#answer + 1] = what
  end
end
redis.call('PEXPIRE', KEYS[1], 600000)
return answer
)lua";

[[nodiscard]] redis::Script with_common(const char* text) { return redis::Script(std::string(kCommon) + text); }

}  // namespace

const redis::Script& join_script() {
  static const redis::Script script = with_common(kJoin);
  return script;
}
const redis::Script& pulse_script() {
  static const redis::Script script = with_common(kPulse);
  return script;
}
const redis::Script& append_script() {
  static const redis::Script script = with_common(kAppend);
  return script;
}
const redis::Script& submit_script() {
  static const redis::Script script = with_common(kSubmit);
  return script;
}
const redis::Script& renew_script() {
  static const redis::Script script = with_common(kRenew);
  return script;
}
const redis::Script& wanted_script() {
  static const redis::Script script = with_common(kWanted);
  return script;
}
const redis::Script& release_script() {
  static const redis::Script script = with_common(kRelease);
  return script;
}

}  // namespace ssequel::nodes
