// JSON texts (RFC 8259) put together by hand, and the YAML made of them. YAML 1.2 contains JSON: a value is written
// as JSON once, and the configuration shows it with the quotes left out where nothing needs them.
#pragma once

#include <string>
#include <string_view>

namespace ssequel::app::config {

// A string with its quotes. The text must be UTF-8.
[[nodiscard]] std::string json_quote(std::string_view text);

// The same JSON, two spaces a level, short arrays and objects on one line; LF at the end.
[[nodiscard]] std::string json_pretty(std::string_view json);

// A JSON value as YAML on one line. What substitute() would act on is escaped.
[[nodiscard]] std::string yaml_flow(std::string_view json);

}  // namespace ssequel::app::config
