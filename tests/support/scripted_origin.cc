#include "support/scripted_origin.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <cstdlib>

#include "support/test_client.h"

namespace ssequel::test {
namespace {

// The fields of a request are read like those of a response.
ReceivedResponse fields_of(const std::string& head) {
  ReceivedResponse fields;
  fields.head = head;
  return fields;
}

}  // namespace

std::string OriginRequest::target() const {
  const auto begin = head.find(' ') + 1;
  return head.substr(begin, head.find(' ', begin) - begin);
}

std::optional<std::string> OriginRequest::field(std::string_view name) const { return fields_of(head).field(name); }
std::size_t OriginRequest::count(std::string_view name) const { return fields_of(head).count(name); }

// --------------------------------------------------------------------------------------------------- connection

std::size_t OriginConnection::send_some(std::string_view bytes) const {
  const auto sent = ::send(socket.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

void OriginConnection::answer(std::string_view content, int status, std::string_view fields) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " Said\r\n";
  out.append(fields).append("Content-Length: ").append(std::to_string(content.size())).append("\r\n\r\n");
  send(out.append(content));
}

void OriginConnection::begin_stream(std::string_view fields, std::string_view type) {
  std::string out = "HTTP/1.1 200 OK\r\nContent-Type: ";
  out.append(type).append("\r\nTransfer-Encoding: chunked\r\n").append(fields).append("\r\n");
  send(out);
}

void OriginConnection::chunk(std::string_view content) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", content.size());
  send(std::string(size).append(content).append("\r\n"));
}

bool OriginConnection::take_head() {
  const auto left = rest();
  const auto end = left.find("\r\n\r\n");
  if (end == std::string_view::npos) return false;
  request = {.head = std::string(left.substr(0, end + 4)), .content = {}, .trailers = {}};
  taken_ += end + 4;
  ++requests;
  return true;
}

bool OriginConnection::take_request() {
  const auto left = rest();
  const auto end = left.find("\r\n\r\n");
  if (end == std::string_view::npos) return false;
  OriginRequest found{.head = std::string(left.substr(0, end + 4)), .content = {}, .trailers = {}};
  std::size_t size = end + 4;
  const auto length = found.field("Content-Length");
  if (length || found.field("Transfer-Encoding")) {
    // The framing is that of a response: let the same reader find the end.
    std::string as_response = "HTTP/1.1 200 OK\r\n";
    as_response += length ? "Content-Length: " + *length : "Transfer-Encoding: chunked";
    as_response.append("\r\n\r\n");
    const auto own = as_response.size();
    as_response.append(left.substr(size));
    auto message = read_response(as_response, false, false);
    if (message.state != ReceivedResponse::State::Complete) return false;
    found.content = std::move(message.content);
    found.trailers = std::move(message.trailers);
    size += message.size - own;
  }
  taken_ += size;
  request = std::move(found);
  ++requests;
  return true;
}

bool OriginConnection::await_gone() {
  return loop_.run_until([this] { return is_gone(); });
}
bool OriginConnection::await_request() {
  return loop_.run_until([this] { return take_request(); });
}
bool OriginConnection::await_rest(std::string_view text) {
  return loop_.run_until([this, text] { return rest().find(text) != std::string_view::npos; });
}

// ------------------------------------------------------------------------------------------------------- origin

void ScriptedOrigin::accept() {
  while (listening_.is_valid()) {
    auto accepted = listening_.accept();
    if (!accepted.is_valid()) return;
    if (buffers_ != 0) accepted.set_buffers(buffers_);
    connections_.push_back(std::make_unique<OriginConnection>(loop_, std::move(accepted)));
  }
}

OriginConnection* ScriptedOrigin::await(bool (OriginConnection::*take)(), Millis limit) {
  OriginConnection* found = nullptr;
  const bool came = loop_.run_until(
      [&] {
        accept();
        for (auto& connection : connections_) {
          if (connection->socket.is_valid() && (connection.get()->*take)()) {
            found = connection.get();
            return true;
          }
        }
        return false;
      },
      limit);
  REQUIRE_MESSAGE(came, "a request reaches the origin");
  return found;
}

OriginConnection* ScriptedOrigin::next(Millis limit) { return await(&OriginConnection::take_request, limit); }
OriginConnection* ScriptedOrigin::next_head(Millis limit) { return await(&OriginConnection::take_head, limit); }

OriginConnection* ScriptedOrigin::try_next_head() {
  accept();
  for (auto& connection : connections_) {
    if (connection->socket.is_valid() && connection->take_head()) return connection.get();
  }
  return nullptr;
}

std::size_t ScriptedOrigin::connections() {
  accept();
  return connections_.size();
}

std::size_t ScriptedOrigin::requests() {
  accept();
  std::size_t count = 0;
  for (auto& connection : connections_) {
    count += connection->requests;
    // What waits was not taken, but came.
    if (connection->socket.is_valid() && connection->rest().find("\r\n\r\n") != std::string_view::npos) ++count;
  }
  return count;
}

std::string ScriptedOrigin::received() {
  accept();
  std::string all;
  for (auto& connection : connections_) all += connection->received();
  return all;
}

void ScriptedOrigin::close_all() {
  accept();
  for (auto& connection : connections_) connection->close();
}

void ScriptedOrigin::stop_listening() {
  accept();
  port_ = listening_.port();
  listening_.close();
}

void ScriptedOrigin::fill_backlog() {
  ::listen(listening_.descriptor(), 0);
  for (int i = 0; i < 4; ++i) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(listening_.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    static_cast<void>(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address));
    waiting_.emplace_back(descriptor);
  }
}

void ScriptedOrigin::listen_again() {
  listening_ = RawSocket::listening(128, std::exchange(port_, 0));
  REQUIRE(listening_.is_valid());
}

}  // namespace ssequel::test
