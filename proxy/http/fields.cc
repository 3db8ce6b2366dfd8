#include "http/fields.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "base/ascii.h"
#include "base/assert.h"
#include "http/serializer.h"

namespace ssequel::http {

namespace {

bool is_inside(std::string_view view, const std::string& buffer) {
  const std::less<> before;
  return !view.empty() && !before(view.data(), buffer.data()) && before(view.data(), buffer.data() + buffer.size());
}

}  // namespace

Field Fields::operator[](std::size_t index) const {
  const Span& span = spans_[index];
  const std::string_view all = buffer_;
  return {all.substr(span.name, span.name_size), all.substr(span.value, span.value_size)};
}

Fields::Span Fields::store(std::string_view name, std::string_view value) {
  if (is_inside(name, buffer_) || is_inside(value, buffer_)) {
    // Growing would pull the ground from under the views.
    const std::string name_copy(name);
    const std::string value_copy(value);
    return store(name_copy, value_copy);
  }
  const std::size_t at = buffer_.size();
  SSEQUEL_ASSERT(at + name.size() + value.size() <= std::numeric_limits<std::uint32_t>::max(), "bounded");
  buffer_.append(name).append(value);
  live_bytes_ += name.size() + value.size();
  return {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(name.size()),
          static_cast<std::uint32_t>(at + name.size()), static_cast<std::uint32_t>(value.size())};
}

void Fields::forget(const Span& span) { live_bytes_ -= std::size_t{span.name_size} + span.value_size; }

// Sections that are changed over and over (a log's response head) must not grow for ever.
void Fields::compact() {
  constexpr std::size_t kTolerated = 1024;
  if (buffer_.size() <= 2 * live_bytes_ + kTolerated) return;
  Fields packed;
  packed.reserve(live_bytes_, spans_.size());
  for_each([&](const Field& field) { packed.add(field.name, field.value); });
  *this = std::move(packed);
}

void Fields::add(std::string_view name, std::string_view value) { spans_.push_back(store(name, value)); }

std::size_t Fields::remove(std::string_view name) {
  const std::string_view all = buffer_;
  const auto kept = std::remove_if(spans_.begin(), spans_.end(), [&](const Span& span) {
    if (!ascii::equals(all.substr(span.name, span.name_size), name)) return false;
    forget(span);
    return true;
  });
  const auto removed = static_cast<std::size_t>(spans_.end() - kept);
  spans_.erase(kept, spans_.end());
  compact();
  return removed;
}

void Fields::set(std::string_view name, std::string_view value) {
  std::size_t first = 0;
  while (first < size() && !ascii::equals((*this)[first].name, name)) ++first;
  if (first == size()) {
    add(name, value);
    return;
  }
  const Span replacement = store(name, value);
  forget(spans_[first]);
  spans_[first] = replacement;
  const std::string_view all = buffer_;
  const std::string_view spelt = all.substr(replacement.name, replacement.name_size);
  const auto rest = spans_.begin() + static_cast<std::ptrdiff_t>(first) + 1;
  const auto kept = std::remove_if(rest, spans_.end(), [&](const Span& span) {
    if (!ascii::equals(all.substr(span.name, span.name_size), spelt)) return false;
    forget(span);
    return true;
  });
  spans_.erase(kept, spans_.end());
  compact();
}

void Fields::clear() {
  buffer_.clear();
  spans_.clear();
  live_bytes_ = 0;
}

void Fields::reserve(std::size_t bytes, std::size_t fields) {
  buffer_.reserve(bytes);
  spans_.reserve(fields);
}

std::optional<std::string_view> Fields::get(std::string_view name) const {
  for (std::size_t i = 0; i < size(); ++i) {
    const Field field = (*this)[i];
    if (ascii::equals(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::size_t Fields::count(std::string_view name) const {
  std::size_t found = 0;
  for_each([&](const Field& field) { found += ascii::equals(field.name, name) ? 1 : 0; });
  return found;
}

bool Fields::lists(std::string_view name, std::string_view element) const {
  bool found = false;
  for_each([&](const Field& field) {
    if (!ascii::equals(field.name, name)) return;
    ascii::for_each_element(field.value,
                            [&](std::string_view listed) { found = found || ascii::equals(listed, element); });
  });
  return found;
}

void Fields::append_to(std::string& out) const {
  out.reserve(out.size() + live_bytes_ + 4 * size());
  for_each([&](const Field& field) { static_cast<void>(append_field(out, field.name, field.value)); });
}

}  // namespace ssequel::http
