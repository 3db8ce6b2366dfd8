# Writes OUTPUT, a C++ source that holds the files of the status page: cmake -DFOLDER=… -DOUTPUT=… -P embed.cmake
set(pages
    "/|index.html|text/html$<SEMICOLON> charset=utf-8"
    "/status.css|status.css|text/css$<SEMICOLON> charset=utf-8"
    "/status.js|status.js|text/javascript$<SEMICOLON> charset=utf-8"
    "/status-plot.js|status-plot.js|text/javascript$<SEMICOLON> charset=utf-8"
    "/status.svg|status.svg|image/svg+xml")
set(entries "")
foreach(page ${pages})
  string(REPLACE "|" ";" parts "${page}")
  list(GET parts 0 path)
  list(GET parts 1 file)
  list(GET parts 2 type)
  string(REPLACE "$<SEMICOLON>" ";" type "${type}")
  file(READ "${FOLDER}/${file}" content)
  string(APPEND entries "    {\"${path}\", \"${type}\", R\"SsequelPage(${content})SsequelPage\"},\n")
endforeach()
file(WRITE "${OUTPUT}"
     "// Made by proxy/app/status/embed.cmake.\n#include \"app/status_pages.h\"\n\nnamespace ssequel::app {\n\n"
     "std::span<const StatusPage> status_pages() {\n  static constexpr StatusPage kPages[] = {\n${entries}  };\n"
     "  return kPages;\n}\n\n}  // namespace ssequel::app\n")
