#include "http/serializer.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

#include "base/assert.h"
#include "base/utf8.h"
#include "http/octets.h"

namespace ssequel::http {

namespace {

// A JSON string (RFC 8259 §7) with its quotes; octets that are no UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const utf8::Character character = utf8::decode(text);
    if (!character.is_valid) {
      out += "\xef\xbf\xbd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += text.front();
    } else if (c < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += text.substr(0, character.size);
    }
    text.remove_prefix(character.size);
  }
  out += '"';
}

}  // namespace

bool is_token(std::string_view text) noexcept { return !text.empty() && are_all_in(kTokenOctets, text); }

bool is_field_value(std::string_view text) noexcept { return is_field_text(text); }

void append_request_line(std::string& out, std::string_view method, std::string_view target) {
  SSEQUEL_ASSERT(is_token(method) && !target.empty(), "a request line of ours is well-formed");
  out.append(method).append(1, ' ');
  if (is_target_text(target)) {
    out.append(target);
  } else {
    for (const char c : target) {
      if (is_target_text({&c, 1})) {
        out += c;
      } else {
        fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
      }
    }
  }
  out.append(" HTTP/1.1\r\n");
}

void append_status_line(std::string& out, int status, std::string_view reason) {
  SSEQUEL_ASSERT(status >= 100 && status <= 599, "a status line of ours is well-formed");
  out.append("HTTP/1.1 ");
  out += static_cast<char>('0' + status / 100);
  out += static_cast<char>('0' + status / 10 % 10);
  out += static_cast<char>('0' + status % 10);
  out += ' ';  // Stands there before an empty reason too (RFC 9112 §4).
  if (is_field_text(reason)) out.append(reason);
  out.append("\r\n");
}

bool append_field(std::string& out, std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_text(value)) return false;
  out.append(name).append(": ").append(value).append("\r\n");
  return true;
}

void append_chunk_header(std::string& out, std::uint64_t size) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, size, 16).ptr;
  out.append(digits, end).append("\r\n");
}

std::string problem_response(int status, std::string_view detail, bool close, bool head_only, std::string_view extra) {
  std::string content = R"({"type":"about:blank","title":)";
  append_json_string(content, reason_phrase(status));
  fmt::format_to(std::back_inserter(content), R"(,"status":{},"detail":)", status);
  append_json_string(content, detail);
  content += "}\n";

  std::string out;
  append_status_line(out, status, reason_phrase(status));
  out.append("Content-Type: application/problem+json\r\n");
  fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", content.size());
  if (close) out.append("Connection: close\r\n");
  out.append(extra).append("\r\n");
  if (!head_only) out.append(content);
  return out;
}

}  // namespace ssequel::http
