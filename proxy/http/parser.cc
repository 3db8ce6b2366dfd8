// Two machines of the same parts: a SectionReader for lines, rules for what they may say, llhttp for a second opinion
// on all of it, a ContentReader for what follows.
//
//   Start ─first line─► Fields ─empty line─► (Head told) ─► Content ─► Complete ─reset()/expect()─► Start
//     ▲                                          │
//     └────────── interim responses ─────────────┘        any state ──what may not be──► Failed
#include "http/parser.h"

#include <algorithm>
#include <array>

#include "http/content_reader.h"
#include "http/llhttp_judge.h"
#include "http/octets.h"
#include "http/rules.h"
#include "http/section_reader.h"

namespace ssequel::http {

namespace {

constexpr std::size_t kEmptyLines = 4;     // Before a request line (RFC 9112 §2.2 asks for one at least).
constexpr std::size_t kKeptBytes = 2048;   // Of a head's memory, between messages.
constexpr std::size_t kUsualFields = 16;   // Reserved for a head in one go,
constexpr std::size_t kUsualBytes = 1024;  // as far as the input has any.

// What both machines have.
struct Machine {
  enum class State { Idle, Start, Fields, Content, Complete, Failed };

  explicit Machine(const ParserLimits& wanted) : limits(wanted) {}
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Step refuse(const Refusal& refusal) {
    error = {refusal.status, std::string(refusal.reason)};
    state = State::Failed;
    return Step::Failed;
  }

  Step step_content(std::string_view& input) {
    const Step step = content.step(input);
    if (step == Step::Failed) return refuse(content.refusal());
    if (step == Step::Complete) state = State::Complete;
    return step;
  }

  // Shows llhttp a line that is not, or not all, as it was sent.
  bool show(std::string_view line) { return judge.feed(line) && judge.feed("\r\n"); }

  const ParserLimits limits;
  SectionReader section{limits};
  LlhttpJudge judge;
  ContentReader content{limits, section, judge};
  State state = State::Start;
  ParseError error;
};

void reserve_for(Fields& fields, std::string_view input) {
  if (fields.empty()) fields.reserve(std::min(input.size(), kUsualBytes), kUsualFields);
}

// Too large to keep its memory for the next message.
bool is_large(const Fields& fields) { return fields.bytes() > kKeptBytes || fields.size() > 4 * kUsualFields; }

}  // namespace

struct RequestParser::Impl : Machine {
  using Machine::Machine;

  Step step(std::string_view& input) {
    while (true) {
      switch (state) {
        case State::Idle:
        case State::Start:
          if (const Step step = request_line(input); step != Step::Head) return step;
          break;
        case State::Fields:
          return fields(input);
        case State::Content:
          return step_content(input);
        case State::Complete:
          return Step::Complete;
        case State::Failed:
          return Step::Failed;
      }
    }
  }

  // Head means: look at the state again.
  Step request_line(std::string_view& input) {
    if (input.empty()) return Step::NeedMore;
    if (section.lines().unfinished().empty() && input.front() != '\r' && !is_in(kTokenOctets, input.front())) {
      return refuse({400, "this is not HTTP/1"});  // TLS, say: no use in waiting for a line end.
    }
    switch (section.next_line(input)) {
      case SectionReader::Outcome::NeedMore:
        return Step::NeedMore;
      case SectionReader::Outcome::Refused:
        return refuse(section.is_over_limit() ? too_long() : section.refusal());
      case SectionReader::Outcome::Done:
        break;
    }
    const std::string_view line = section.lines().line();
    if (line.empty()) {
      section.forget_line();
      if (++empty_lines > kEmptyLines) return refuse({400, "empty lines instead of a request"});
      return Step::Head;
    }
    if (const Refusal refusal = parse_request_line(line, limits.target_bytes, head)) return refuse(refusal);
    judge.begin_request();
    // llhttp knows no minor version above 1.
    const bool is_known = is_method_of_llhttp() && line.back() <= '1';
    if (!(is_known ? judge.feed(section.lines().raw()) : show(substitute()))) {
      return refuse({400, judge.reason()});
    }
    reserve_for(head.fields, input);
    state = State::Fields;
    return Step::Head;
  }

  // The request line alone is over header_bytes: the target is to blame, unless it is the method or the version.
  Refusal too_long() const {
    const std::string_view line = section.lines().line();
    const auto method_end = line.find(' ');
    if (method_end != std::string_view::npos && line.find(' ', method_end + 1) == std::string_view::npos) {
      return {414, "the request target is too long"};
    }
    return section.refusal();
  }

  // llhttp knows a list of methods, which differs from version to version; any token is one (RFC 9110 §9.1). CONNECT
  // would make it leave HTTP at the end of the head.
  bool is_method_of_llhttp() const {
    static constexpr std::array<std::string_view, 8> kMethods{"GET",    "POST",    "HEAD",  "PUT",
                                                              "DELETE", "OPTIONS", "PATCH", "TRACE"};
    return std::find(kMethods.begin(), kMethods.end(), head.method) != kMethods.end();
  }
  std::string_view substitute() const { return head.minor_version == 1 ? "POST / HTTP/1.1" : "POST / HTTP/1.0"; }

  Step fields(std::string_view& input) {
    switch (section.read_fields(input, head.fields, judge)) {
      case SectionReader::Outcome::NeedMore:
        return Step::NeedMore;
      case SectionReader::Outcome::Refused:
        return refuse(section.refusal());
      case SectionReader::Outcome::Done:
        break;
    }
    if (const Refusal refusal = finish_request(head)) return refuse(refusal);
    if (!judge.agrees(head.framing)) return refuse({400, "two readings of where the content ends"});
    content.begin(head.framing);
    state = State::Content;
    return Step::Head;
  }

  void reset() {
    if (state == State::Failed) return;
    section.reset();
    content.begin({});
    if (is_large(head.fields) || head.target.size() > kKeptBytes) {
      head = {};
    } else {
      head.method.clear();
      head.target.clear();
      head.fields.clear();
      head.host.clear();
      head.origin_form.clear();
      head.framing = {};
      head.minor_version = 1;
      head.keep_alive = true;
      head.expects_continue = false;
      head.is_upgrade = false;
    }
    empty_lines = 0;
    state = State::Start;
  }

  bool is_idle() const {
    const auto unfinished = section.lines().unfinished();
    return state == State::Start && (unfinished.empty() || unfinished == "\r");
  }

  RequestHead head;
  std::size_t empty_lines = 0;
};

struct ResponseParser::Impl : Machine {
  explicit Impl(const ParserLimits& wanted) : Machine(wanted) { state = State::Idle; }

  Step step(std::string_view& input) {
    while (true) {
      switch (state) {
        case State::Idle:
        case State::Complete:
          if (input.empty() || state == State::Complete) return state == State::Idle ? Step::NeedMore : Step::Complete;
          return refuse({502, "a response that nobody asked for"});
        case State::Start:
          if (const Step step = status_line(input); step != Step::Head) return step;
          break;
        case State::Fields:
          return fields(input);
        case State::Content:
          return step_content(input);
        case State::Failed:
          return Step::Failed;
      }
    }
  }

  Step status_line(std::string_view& input) {
    if (input.empty()) return Step::NeedMore;
    if (section.lines().unfinished().empty() && input.front() != 'H') return refuse({502, "this is not HTTP/1"});
    is_begun = true;
    switch (section.next_line(input)) {
      case SectionReader::Outcome::NeedMore:
        return Step::NeedMore;
      case SectionReader::Outcome::Refused:
        return refuse(section.refusal());
      case SectionReader::Outcome::Done:
        break;
    }
    clear_head();
    if (const Refusal refusal = parse_status_line(section.lines().line(), head)) return refuse(refusal);
    judge.begin_response();
    if (!judge.feed(section.lines().raw())) return refuse({502, judge.reason()});
    reserve_for(head.fields, input);
    state = State::Fields;
    return Step::Head;
  }

  Step fields(std::string_view& input) {
    switch (section.read_fields(input, head.fields, judge)) {
      case SectionReader::Outcome::NeedMore:
        return Step::NeedMore;
      case SectionReader::Outcome::Refused:
        return refuse(section.refusal());
      case SectionReader::Outcome::Done:
        break;
    }
    Framing declared;
    if (const Refusal refusal = finish_response(head, answered, declared)) return refuse(refusal);
    if (!judge.agrees(declared)) return refuse({502, "two readings of where the content ends"});
    section.reset();
    if (head.status / 100 == 1 && head.status != 101) {
      state = State::Start;  // The final response follows (RFC 9110 §15.2).
    } else {
      content.begin(head.framing);
      is_until_close = head.framing.kind == Framing::Kind::UntilClose;
      state = State::Content;
    }
    return Step::Head;
  }

  // To us every malformed response is the same: a bad gateway's upstream.
  Step refuse(const Refusal& refusal) { return Machine::refuse({502, refusal.reason}); }
  Step step_content(std::string_view& input) {
    const Step step = Machine::step_content(input);
    if (step == Step::Failed) error.status = 502;
    return step;
  }

  void expect(std::string_view method) {
    if (state == State::Failed) return;
    answered = {.is_head = method == "HEAD", .is_connect = method == "CONNECT"};
    section.reset();
    content.begin({});
    is_begun = false;
    is_until_close = false;
    if (is_large(head.fields)) head = {};
    clear_head();
    state = State::Start;
  }

  Step end() {
    switch (state) {
      case State::Idle:
      case State::Complete:
        return Step::NeedMore;
      case State::Start:
        if (!is_begun) return Step::NeedMore;
        return refuse({502, "the connection ended before the response"});
      case State::Fields:
        return refuse({502, "the connection ended within the response's head"});
      case State::Content:
        if (!is_until_close) return refuse({502, "the connection ended within the response's content"});
        state = State::Complete;
        return Step::Complete;
      case State::Failed:
        break;
    }
    return Step::Failed;
  }

  void clear_head() {
    head.status = 0;
    head.reason.clear();
    head.minor_version = 1;
    head.fields.clear();
    head.framing = {};
    head.keep_alive = true;
  }

  ResponseHead head;
  Answered answered;
  bool is_begun = false;        // True once a byte came, of an interim response too.
  bool is_until_close = false;  // head may have been moved from.
};

RequestParser::RequestParser(const ParserLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;
Step RequestParser::step(std::string_view& input) { return impl_->step(input); }
RequestHead& RequestParser::head() { return impl_->head; }
std::string_view RequestParser::content() const { return impl_->content.content(); }
Fields& RequestParser::trailers() { return impl_->content.trailers(); }
const ParseError& RequestParser::error() const { return impl_->error; }
bool RequestParser::is_idle() const { return impl_->is_idle(); }
void RequestParser::reset() { impl_->reset(); }

ResponseParser::ResponseParser(const ParserLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;
void ResponseParser::expect(std::string_view request_method) { impl_->expect(request_method); }
Step ResponseParser::step(std::string_view& input) { return impl_->step(input); }
Step ResponseParser::end() { return impl_->end(); }
ResponseHead& ResponseParser::head() { return impl_->head; }
std::string_view ResponseParser::content() const { return impl_->content.content(); }
Fields& ResponseParser::trailers() { return impl_->content.trailers(); }
const ParseError& ResponseParser::error() const { return impl_->error; }

}  // namespace ssequel::http
