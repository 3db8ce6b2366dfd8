// Any bytes as a configuration: no crash, no hang; what is accepted is printed and reads as the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "app/config.h"
#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ssequel;
  const app::Environment env = [](const std::string& name) -> std::optional<std::string> {
    if (name == "A") return "1";
    if (name == "B") return "a\"b: [\\";
    if (name == "E") return "";
    return std::nullopt;
  };
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto config = app::parse_config(text, "f", env);
  if (!config) {
    SSEQUEL_ASSERT(!config.error().context.empty(), "an error says what is wrong");
    return 0;
  }
  const auto yaml = app::to_yaml(config->options);
  const auto again = app::parse_config(yaml, "again", env);
  SSEQUEL_ASSERT(again.has_value(), "what check prints is accepted");
  // Equal but for what is masked, which the text cannot show.
  SSEQUEL_ASSERT(app::to_yaml(again->options) == yaml, "what check prints reads as the same");
  if (yaml.find("***") == yaml.npos) SSEQUEL_ASSERT(again->options == config->options, "nothing is lost in print");
  return 0;
}
