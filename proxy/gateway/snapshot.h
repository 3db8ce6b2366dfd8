// The content of `on_gap.snapshot`: a GET of that path with the subscriber's own fields, and what of the answer counts.
#pragma once

#include <string>
#include <string_view>

#include "gateway/side_request.h"
#include "relay/route.h"

namespace ssequel::gateway {

// The request head. fields: of the subscriber's own request; host, peer_address: as it came.
[[nodiscard]] std::string snapshot_request(const relay::Route& route, const http::Fields& fields, std::string_view host,
                                           std::string_view peer_address, bool via);

struct Snapshot {
  std::string content;  // Not empty: the data of the event.
  std::string error;    // Not empty: why there is none.
};
// Only a 200 with uncoded text counts. Size and time are the SideRequest's to bound.
[[nodiscard]] Snapshot read_snapshot(Result<SideAnswer> answer);

}  // namespace ssequel::gateway
