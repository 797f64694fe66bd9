// SPDX-License-Identifier: MIT
// libFuzzer on a whole tree on the simulated kernel.
#include "tree_target.hpp"

#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string error = fuzz::run_tree(std::as_bytes(std::span(data, size)));
    if (!error.empty()) {
        std::ostringstream log;
        fuzz::run_tree(std::as_bytes(std::span(data, size)), &log);
        std::fprintf(stderr, "%s%s\n", log.str().c_str(), error.c_str());
        std::abort();
    }
    return 0;
}
