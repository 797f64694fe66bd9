// SPDX-License-Identifier: MIT
// libFuzzer on the file of a snapshot.
#include "snapshot_target.hpp"

#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string error = fuzz::run_snapshot(std::as_bytes(std::span(data, size)));
    if (!error.empty()) {
        std::fprintf(stderr, "%s\n", error.c_str());
        std::abort();
    }
    return 0;
}
