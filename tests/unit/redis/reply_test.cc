#include "redis/reply.h"

#include <doctest/doctest.h>

#include "redis/client.h"

namespace ssequel::redis {
namespace {

TEST_CASE("errors are classified by their code") {
  CHECK(classify("LOADING Redis is loading the dataset in memory") == Trouble::Away);
  CHECK(classify("CLUSTERDOWN The cluster is down") == Trouble::Away);
  CHECK(classify("READONLY You can't write against a read only replica.") == Trouble::ReadOnly);
  CHECK(classify("OOM command not allowed when used memory > 'maxmemory'.") == Trouble::Full);
  CHECK(classify("MISCONF Redis is configured to save RDB snapshots") == Trouble::Full);
  CHECK(classify("NOAUTH Authentication required.") == Trouble::Denied);
  CHECK(classify("ERR AUTH <password> called without any password configured") == Trouble::Denied);
  CHECK(classify("ERR unknown command") == Trouble::Other);
  CHECK(classify("BUSYGROUP Consumer Group name already exists") == Trouble::Other);
  CHECK(classify("") == Trouble::Other);
}

TEST_CASE("a key's hash slot is the cluster specification's") {
  CHECK(hash_slot("123456789") == 0x31C3);  // The specification's own check value, 0x31C3, is below 16384.
  CHECK(hash_slot("") == 0);
  CHECK(hash_slot("{user1000}.following") == hash_slot("user1000"));
  CHECK(hash_slot("{user1000}.following") == hash_slot("{user1000}.followers"));
  CHECK(hash_slot("foo{}{bar}") != hash_slot("bar"));
  CHECK(hash_slot("foo{{bar}}zap") == hash_slot("{bar"));
  CHECK(hash_slot("foo{bar}{zap}") == hash_slot("bar"));
  CHECK(hash_slot("foo{bar") != hash_slot("bar"));
}

}  // namespace
}  // namespace ssequel::redis
