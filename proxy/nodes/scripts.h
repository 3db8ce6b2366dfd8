// What Redis does in one step, as Lua scripts. All of them answer an array whose first element is a word. Numbers that
// may pass 2^53 are texts in them, and stay such: Lua's own numbers lose their last digits there.
#pragma once

#include "redis/client.h"

namespace ssequel::nodes {

// The log as it is, or made: see layout.h for the fields.
//   KEYS meta log nodes given    ARGV NODE KEEP START GIVEN_FIELD PLACE LOST LEASE GAP AT [FIELD VALUE]...
//   START, GIVEN_FIELD: `ids.start`, and the field of `given` that has the highest number given under it; else empty.
//   GAP: the lines of a store-gap that the log begins with, AT its time; else empty.
//   LEASE: milliseconds for which the maker leads at once; 0: nobody leads.
//   -> made|found [FIELD VALUE]...    given NUMBER: the start is not above that
[[nodiscard]] const redis::Script& join_script();

// Says what this node wants of logs, renews or takes leases, and tells how things are.
//   KEYS (meta log nodes)...    ARGV NODE TTL (WATCH FOREMOST FENCE PLACE INCARNATION KEEP)...
//   WATCH: 0 nothing; 1 reads, and would lead; 2 reads; 3 leads on for now, but would rather not; 4 as 1, but for a
//   session, whose lease nobody else has a use for: it is left for longer
//   -> ok [lead|follow|free|final|gone FENCE INCARNATION FROM NEXT REMAINING WANTING FOREMOST LOST SAME_RUN]...
[[nodiscard]] const redis::Script& pulse_script();

// The leader's: appends, sets fields, trims.
//   KEYS meta log given    ARGV NODE FENCE INCARNATION BATCH PLACE TRIM GIVEN_FIELD NUMBER [KIND COUNT ARGUMENT...]...
//   KIND: e an entry's fields and values; c a control entry's; s fields of meta
//   -> ok NEXT CONTROL    fenced    behind NEXT    gone
[[nodiscard]] const redis::Script& append_script();

// `producers: all`: the same of any node; places and numbers are given here.
//   KEYS meta log given    ARGV NODE INCARNATION BATCH TRIM GIVEN_FIELD [KIND COUNT ARGUMENT...]...
//   -> ok NEXT CONTROL    fenced    restarted    gone
[[nodiscard]] const redis::Script& submit_script();

// `producers: all`: what the log held may have been lost; it goes on with another incarnation, which
// begins with the store-gap.
//   KEYS meta log    ARGV INCARNATION PLACE NUMBER NODE AT GAP  -> renewed INCARNATION FROM    known INCARNATION FROM
[[nodiscard]] const redis::Script& renew_script();

// `producers: all`: names the logs that this node has readers of, and tells those of all nodes.
//   KEYS wanted    ARGV TTL [LOG ROUTE\nTARGET\nHOST]...  -> ok [ROUTE\nTARGET\nHOST]...
[[nodiscard]] const redis::Script& wanted_script();

// Gives the lease up, if it is this node's; LEAVE 1: and its interest. REFUSED: 1 this node's upstream said no for
// good, 2 and would to all.
//   KEYS meta log nodes    ARGV NODE FENCE INCARNATION LEAVE REFUSED  -> ok
[[nodiscard]] const redis::Script& release_script();

}  // namespace ssequel::nodes
