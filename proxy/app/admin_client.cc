#include "app/admin_client.h"

#include "http/parser.h"
#include "net/connector.h"
#include "net/deadline.h"
#include "net/loop.h"

namespace ssequel::app {
namespace {

// One exchange on a loop of its own.
class Question final : private net::ConnectListener, private net::StreamListener, private net::Deadline::Listener {
 public:
  Question(net::Loop& loop, net::DeadlineQueue& deadlines, const net::Address& address, std::string method,
           const std::string& target, Millis timeout)
      : loop_(loop), deadline_(deadlines, *this), method_(std::move(method)) {
    request_ =
        method_ + " " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    parser_.expect(method_);
    deadline_.set(timeout);
    connect_ = net::Connect::start(deadlines, address, timeout, *this);
  }
  Result<AdminReply> take() { return std::move(reply_); }

 private:
  void on_connected(net::Owned<net::Stream> stream) override {
    connect_.reset();
    stream_ = std::move(stream);
    stream_->set_listener(*this);
    stream_->start_reading();
    stream_->write(request_);
  }
  void on_connect_failed(const Error& error) override { finish(tl::unexpected<Error>(error)); }
  void on_read(std::string_view bytes) override {
    for (;;) {
      switch (parser_.step(bytes)) {
        case http::Step::NeedMore:
          return;
        case http::Step::Head:
          answer_.status = parser_.head().status;
          break;
        case http::Step::Content:
          answer_.content += parser_.content();
          break;
        case http::Step::Trailers:
          break;
        case http::Step::Complete:
          finish(std::move(answer_));
          return;
        case http::Step::Failed:
          finish(fail(ErrorCode::Malformed, "the admin endpoint's answer is no HTTP"));
          return;
      }
    }
  }
  void on_eof() override {
    if (parser_.end() == http::Step::Complete) {
      finish(std::move(answer_));
    } else {
      finish(fail(ErrorCode::PeerGone, "the admin endpoint closed the connection"));
    }
  }
  void on_drained() override {}
  void on_broken(const Error& error) override { finish(tl::unexpected<Error>(error)); }
  void on_deadline(net::Deadline&) override { finish(fail(ErrorCode::RetryLater, "no answer in time")); }

  void finish(Result<AdminReply> reply) {
    reply_ = std::move(reply);
    deadline_.cancel();
    connect_.reset();
    stream_.reset();
    loop_.stop();
  }

  net::Loop& loop_;
  net::Deadline deadline_;
  std::string method_;
  std::string request_;
  http::ResponseParser parser_{http::ParserLimits{}};
  net::Owned<net::Connect> connect_;
  net::Owned<net::Stream> stream_;
  AdminReply answer_;
  Result<AdminReply> reply_ = fail(ErrorCode::RetryLater, "no answer");
};

}  // namespace

Result<AdminReply> ask_admin(const net::Address& address, const std::string& method, const std::string& target,
                             Millis timeout) {
  auto where = address;
  if (where.host == "0.0.0.0" || where.host == "*") where.host = "127.0.0.1";
  if (where.host == "::") where.host = "::1";
  net::Loop loop;
  net::DeadlineQueue deadlines(loop);
  Question question(loop, deadlines, where, method, target, timeout);
  loop.run();
  return question.take();
}

}  // namespace ssequel::app
