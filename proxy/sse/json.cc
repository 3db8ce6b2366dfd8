#include "sse/json.h"

#include <bitset>

#include "base/ascii.h"
#include "base/utf8.h"

namespace ssequel::sse::json {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// A pushdown reader: the open containers are a stack of bits, so that no text can exhaust the call stack.
class Reader {
 public:
  explicit Reader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool is_object() {
    skip_white_space();
    if (!is_at('{') || !skip_value()) return false;
    skip_white_space();
    return at_ == end_;
  }

 private:
  bool skip_value() {
    for (;;) {
      skip_white_space();
      if (is_at('{') || is_at('[')) {
        if (depth_ == kMaxDepth) return false;
        is_object_[depth_++] = *at_++ == '{';
        skip_white_space();
        if (!take(closing())) {
          if (is_object_[depth_ - 1] && !skip_name()) return false;
          continue;
        }
        --depth_;
      } else if (!skip_scalar()) {
        return false;
      }
      // A value has ended, and with it perhaps the containers around it.
      for (;; --depth_) {
        if (depth_ == 0) return true;
        skip_white_space();
        if (take(',')) break;
        if (!take(closing())) return false;
      }
      skip_white_space();
      if (is_object_[depth_ - 1] && !skip_name()) return false;
    }
  }

  bool skip_name() {
    if (!skip_string()) return false;
    skip_white_space();
    return take(':');
  }

  bool skip_scalar() {
    if (is_at('"')) return skip_string();
    if (is_at('t')) return skip_literal("true");
    if (is_at('f')) return skip_literal("false");
    if (is_at('n')) return skip_literal("null");
    return skip_number();
  }

  bool skip_string() {
    if (!take('"')) return false;
    while (at_ != end_) {
      const char c = *at_++;
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\' && !skip_escape()) return false;
    }
    return false;
  }

  bool skip_escape() {
    if (at_ == end_) return false;
    const char c = *at_++;
    if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_) return false;
      const char digit = ascii::lower(*at_);
      if (!ascii::is_digit(digit) && !(digit >= 'a' && digit <= 'f')) return false;
    }
    return true;
  }

  bool skip_number() {
    take('-');
    if (!take('0') && !skip_digits()) return false;
    if (take('.') && !skip_digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('+')) take('-');
    return skip_digits();
  }

  bool skip_digits() {
    const char* const start = at_;
    while (at_ != end_ && ascii::is_digit(*at_)) ++at_;
    return at_ != start;
  }

  bool skip_literal(std::string_view literal) {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(literal)) return false;
    at_ += literal.size();
    return true;
  }

  void skip_white_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  }

  [[nodiscard]] bool is_at(char c) const { return at_ != end_ && *at_ == c; }
  [[nodiscard]] char closing() const { return is_object_[depth_ - 1] ? '}' : ']'; }
  bool take(char c) {
    if (!is_at(c)) return false;
    ++at_;
    return true;
  }

  const char* at_;
  const char* end_;
  std::bitset<kMaxDepth> is_object_;  // Of each open container, outermost first: an object, else an array.
  std::size_t depth_ = 0;
};

void append_escaped(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out.push_back('\\');
  switch (c) {
    case '"':
    case '\\':
      out.push_back(c);
      return;
    case '\n':
      out.push_back('n');
      return;
    case '\r':
      out.push_back('r');
      return;
    case '\t':
      out.push_back('t');
      return;
  }
  out.append("u00");
  out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
  out.push_back(kHex[static_cast<unsigned char>(c) & 15]);
}

}  // namespace

bool is_object(std::string_view text) { return Reader(text).is_object(); }

void append_string(std::string& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const char c = text.front();
    const auto [code, bytes, is_valid] = utf8::decode(text);
    if (!is_valid) {
      out.append(kReplacement);
    } else if (code < 0x20 || c == '"' || c == '\\' || c == 0x7F) {
      append_escaped(out, c);
    } else {
      out.append(text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
  out.push_back('"');
}

std::string cut_utf8(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const auto [code, bytes, is_valid] = utf8::decode(text);
    const std::string_view character = is_valid ? text.substr(0, bytes) : kReplacement;
    if (out.size() + character.size() > max_bytes) break;
    out.append(character);
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace ssequel::sse::json
