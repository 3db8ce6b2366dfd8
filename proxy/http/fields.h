// A header or trailer section (RFC 9110 §5, §6.5) as received: order, case and duplicates stay. One buffer, no
// allocation per field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ssequel::http {

struct Field {
  std::string_view name;   // As spelt.
  std::string_view value;  // Without optional white space around it.
};

// A value: copies are whole copies. Views it gives out end with the next change. Not for use by several threads at
// once. At most 4 GiB.
class Fields {
 public:
  // Arguments may be views into these same fields.
  void add(std::string_view name, std::string_view value);
  // Removes every field of that name; how many there were. Names compare without case throughout.
  std::size_t remove(std::string_view name);
  // Replaces all fields of that name by one at the place of the first, or adds it at the end.
  void set(std::string_view name, std::string_view value);
  void clear();  // Keeps the memory for the next section.
  void reserve(std::size_t bytes, std::size_t fields);

  [[nodiscard]] std::size_t size() const { return spans_.size(); }
  [[nodiscard]] bool empty() const { return spans_.empty(); }
  [[nodiscard]] Field operator[](std::size_t index) const;

  // The first value of that name.
  [[nodiscard]] std::optional<std::string_view> get(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return count(name) != 0; }
  // True if a comma-separated field of that name has this element (without case), over all its lines.
  [[nodiscard]] bool lists(std::string_view name, std::string_view element) const;

  template <class Use>
  void for_each(Use use) const {
    for (std::size_t i = 0; i < size(); ++i) use((*this)[i]);
  }
  // name: value lines as on the wire, each with CRLF; no empty line. A field that cannot stand there (append_field in
  // serializer.h) is left out.
  void append_to(std::string& out) const;
  // Of all names and values.
  [[nodiscard]] std::size_t bytes() const { return live_bytes_; }

 private:
  struct Span {
    std::uint32_t name, name_size, value, value_size;
  };
  [[nodiscard]] Span store(std::string_view name, std::string_view value);
  void forget(const Span& span);
  void compact();

  std::string buffer_;  // Names and values in the order they were stored, those of removed fields too.
  std::vector<Span> spans_;
  std::size_t live_bytes_ = 0;  // What the spans cover.
};

}  // namespace ssequel::http
