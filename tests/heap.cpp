// SPDX-License-Identifier: MIT
// Counts what operator new gives.
#include "heap.hpp"

#include "support.hpp"

#ifndef INOTIFY_TESTS_SANITIZED

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::atomic<long> allocated = 0;
std::atomic<long> in_use = 0;

void* counted(std::size_t size) {
    void* const memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr)
        throw std::bad_alloc();
    ++allocated;
    in_use += static_cast<long>(::malloc_usable_size(memory));
    return memory;
}

void release(void* memory) noexcept {
    in_use -= static_cast<long>(::malloc_usable_size(memory));
    std::free(memory);
}

}  // namespace

// The array and nothrow forms call these. Over-aligned memory is not counted; the library has none.
void* operator new(std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }

namespace test {

long allocations() noexcept { return allocated; }
long bytes_in_use() noexcept { return in_use; }

}  // namespace test

#endif
