#include "relay/route.h"

namespace ssequel::relay {

Route built_in_route() {
  Route route;
  route.name = "default";
  route.window.events = route.window_events();
  return route;
}

Route shared_route(std::string path) {
  Route route;
  route.name = path;
  route.match.path = std::move(path);
  route.match.accept = Accept::Any;
  route.mode = Mode::Shared;
  route.window.events = route.window_events();
  return route;
}

}  // namespace ssequel::relay
