#include "support/test_client.h"

#include <sys/socket.h>

#include <cctype>
#include <cstdlib>

namespace ssequel::test {
namespace {

bool equals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(a[i])) != std::tolower(static_cast<unsigned char>(b[i]))) return false;
  }
  return true;
}

// What stands behind `name:` in each such line of a head.
std::vector<std::string> field_values(std::string_view head, std::string_view name) {
  std::vector<std::string> values;
  auto begin = head.find("\r\n");
  while (begin != std::string_view::npos && begin + 2 < head.size()) {
    begin += 2;
    const auto end = head.find("\r\n", begin);
    const auto line = head.substr(begin, end - begin);
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && equals(line.substr(0, colon), name)) {
      auto value = line.substr(colon + 1);
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      values.emplace_back(value);
    }
    begin = end;
  }
  return values;
}

using State = ReceivedResponse::State;

// From `at`, where the content begins. False: more is to come, or it is malformed.
void read_chunks(std::string_view bytes, std::size_t at, ReceivedResponse& response) {
  for (;;) {
    const auto line_end = bytes.find("\r\n", at);
    if (line_end == std::string_view::npos) return;
    const std::string digits(bytes.substr(at, line_end - at));
    char* end = nullptr;
    const auto size = std::strtoull(digits.c_str(), &end, 16);
    if (digits.empty() || *end != 0) {
      response.state = State::Malformed;
      return;
    }
    at = line_end + 2;
    if (size == 0) break;
    const auto here = bytes.substr(at, size);
    response.content += here;
    if (bytes.size() < at + size + 2) return;
    if (bytes.substr(at + size, 2) != "\r\n") {
      response.state = State::Malformed;
      return;
    }
    at += size + 2;
  }
  // Trailers, up to the empty line.
  for (;;) {
    const auto line_end = bytes.find("\r\n", at);
    if (line_end == std::string_view::npos) return;
    if (line_end == at) {
      response.size = at + 2;
      response.state = State::Complete;
      return;
    }
    response.trailers += bytes.substr(at, line_end + 2 - at);
    at = line_end + 2;
  }
}

}  // namespace

std::optional<std::string> ReceivedResponse::field(std::string_view name) const {
  const auto values = field_values(head, name);
  return values.empty() ? std::nullopt : std::optional(values.front());
}

std::size_t ReceivedResponse::count(std::string_view name) const { return field_values(head, name).size(); }

ReceivedResponse read_response(std::string_view bytes, bool is_head_request, bool is_over) {
  ReceivedResponse response;
  const auto head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return response;
  response.has_head = true;
  response.head = bytes.substr(0, head_end + 4);
  if (!bytes.starts_with("HTTP/1.1 ") || bytes.size() < 12) {
    response.state = State::Malformed;
    return response;
  }
  response.status = std::atoi(std::string(bytes.substr(9, 3)).c_str());
  const auto begin = head_end + 4;
  const bool is_interim = response.status < 200 && response.status != 101;
  if (is_interim || is_head_request || response.status == 204 || response.status == 304 || response.status == 101) {
    response.size = begin;
    response.state = State::Complete;
    return response;
  }
  const auto coding = response.field("Transfer-Encoding");
  const auto length = response.field("Content-Length");
  if ((coding && length) || response.count("Content-Length") > 1) {
    response.state = State::Malformed;
    return response;
  }
  if (coding) {
    read_chunks(bytes, begin, response);
  } else if (length) {
    const auto size = std::strtoull(length->c_str(), nullptr, 10);
    response.content = bytes.substr(begin, size);
    if (response.content.size() == size) {
      response.size = begin + size;
      response.state = State::Complete;
    }
  } else {
    response.content = bytes.substr(begin);
    if (is_over) {
      response.size = bytes.size();
      response.state = State::Complete;
    }
  }
  return response;
}

std::vector<ReceivedEvent> read_events(std::string_view content) {
  std::vector<ReceivedEvent> events;
  ReceivedEvent event;
  bool has_data = false;
  while (!content.empty()) {
    const auto end = content.find('\n');
    if (end == std::string_view::npos) break;
    const auto line = content.substr(0, end);
    content.remove_prefix(end + 1);
    if (line.empty()) {
      events.push_back(std::exchange(event, {}));
      has_data = false;
      continue;
    }
    event.block.append(line).push_back('\n');
    const auto value_of = [&](std::string_view name) -> std::optional<std::string_view> {
      if (!line.starts_with(name)) return std::nullopt;
      auto value = line.substr(name.size());
      if (value.starts_with(' ')) value.remove_prefix(1);
      return value;
    };
    if (const auto id = value_of("id:")) event.id = *id;
    if (const auto type = value_of("event:")) event.event = *type;
    if (const auto data = value_of("data:")) {
      if (std::exchange(has_data, true)) event.data += '\n';
      event.data += *data;
    }
  }
  return events;
}

std::size_t TestClient::send_some(std::string_view bytes) const {
  const auto sent = ::send(socket.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

const ReceivedResponse& TestClient::response() {
  // In this order: another look may receive more, and move what is there.
  const auto end = socket.end();
  const std::string_view all = socket.receive();
  if (all.size() == read_size_ && end == read_end_) return response_;
  read_size_ = all.size();
  read_end_ = end;
  response_ = read_response(all.substr(offset_), is_head_request, end == RawSocket::End::Eof);
  return response_;
}

void TestClient::next_response() {
  offset_ += response().size;
  response_ = {};
  read_size_ = static_cast<std::size_t>(-1);
}

std::vector<std::string> TestClient::data() {
  std::vector<std::string> all;
  for (auto& event : events()) {
    if (!event.data.empty()) all.push_back(std::move(event.data));
  }
  return all;
}

std::string TestClient::last_id() {
  std::string id;
  for (auto& event : events()) {
    if (!event.id.empty()) id = event.id;
  }
  return id;
}

std::string_view TestClient::rest() { return std::string_view(socket.receive()).substr(offset_ + response().size); }

bool TestClient::await_head() {
  return loop_->run_until([this] { return response().has_head; });
}
bool TestClient::await_complete() {
  return loop_->run_until([this] { return is_complete(); });
}
bool TestClient::await_content(std::string_view text) {
  return loop_->run_until([this, text] { return content().find(text) != std::string::npos; });
}
bool TestClient::await_events(std::size_t count) {
  return loop_->run_until([this, count] { return data().size() >= count; });
}
bool TestClient::await_end() {
  return loop_->run_until([this] { return has_ended(); });
}
bool TestClient::await_broken() { return await_end() && !is_complete(); }

}  // namespace ssequel::test
