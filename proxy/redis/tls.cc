#include "redis/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>

#include "base/assert.h"

namespace ssequel::redis {
namespace {

// What OpenSSL said last; its queue is empty afterwards.
std::string reason() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return text == nullptr ? "no reason given" : text;
}

tl::unexpected<Error> unusable(const std::string& what, const std::string& file) {
  return fail(ErrorCode::Misconfigured, what + " " + file + " cannot be used: " + reason());
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 || inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

}  // namespace

Result<TlsContext> TlsContext::load(const TlsFiles& files) {
  ERR_clear_error();
  TlsContext made;
  made.context_.reset(SSL_CTX_new(TLS_client_method()));
  auto* context = made.context_.get();
  SSEQUEL_ASSERT(context != nullptr, "memory for TLS");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (files.ca.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) return unusable("the system's authorities", "");
  } else if (SSL_CTX_load_verify_file(context, files.ca.c_str()) != 1) {
    return unusable("the authorities in", files.ca);
  }
  if (!files.cert.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) != 1)
      return unusable("the certificate in", files.cert);
    if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
      return unusable("the key in", files.key);
    if (SSL_CTX_check_private_key(context) != 1)
      return unusable("the key, which is not the certificate's, in", files.key);
  }
  return made;
}

TlsSession::TlsSession(const TlsContext& context, const std::string& name)
    : session_(SSL_new(context.context_.get())), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
  SSEQUEL_ASSERT(session_ && in_ && out_, "memory for TLS");
  SSL_set_bio(session_.get(), in_, out_);
  SSL_set_connect_state(session_.get());
  auto* checks = SSL_get0_param(session_.get());
  if (is_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(checks, name.c_str());
  } else {
    SSL_set_tlsext_host_name(session_.get(), name.c_str());
    X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(checks, name.data(), name.size());
  }
}

Result<void> TlsSession::feed(std::string_view from_peer, std::string& plain) {
  ERR_clear_error();
  if (!from_peer.empty()) BIO_write(in_, from_peer.data(), static_cast<int>(from_peer.size()));
  if (!is_established_) {
    const int result = SSL_do_handshake(session_.get());
    if (result != 1) return give_up(result);
    is_established_ = true;
  }
  std::array<char, 16 * 1024> piece{};  // A record's content (RFC 8446 §5.1).
  for (;;) {
    const int result = SSL_read(session_.get(), piece.data(), static_cast<int>(piece.size()));
    if (result <= 0) return give_up(result);
    plain.append(piece.data(), static_cast<std::size_t>(result));
  }
}

Result<void> TlsSession::give_up(int result) {
  const int error = SSL_get_error(session_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return {};  // More is to come.
  if (error == SSL_ERROR_ZERO_RETURN) return fail(ErrorCode::PeerGone, "the connection was closed (TLS)");
  const auto verdict = SSL_get_verify_result(session_.get());
  if (verdict != X509_V_OK) {
    ERR_clear_error();
    return fail(ErrorCode::Denied,
                std::string("the certificate is not trusted: ") + X509_verify_cert_error_string(verdict));
  }
  return fail(ErrorCode::Malformed, "TLS: " + reason());
}

Result<void> TlsSession::write(std::string_view plain) {
  ERR_clear_error();
  std::size_t written = 0;
  if (SSL_write_ex(session_.get(), plain.data(), plain.size(), &written) != 1 || written != plain.size())
    return fail(ErrorCode::Malformed, "TLS: " + reason());
  return {};
}

std::string TlsSession::output() {
  std::string out(BIO_ctrl_pending(out_), '\0');
  if (!out.empty()) BIO_read(out_, out.data(), static_cast<int>(out.size()));
  return out;
}

}  // namespace ssequel::redis
