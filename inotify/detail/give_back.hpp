// SPDX-License-Identifier: MIT
// Containers keep the storage of their largest size; these give it back after a burst.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace inotify::detail {

/// Storage up to this many bytes is kept, so that what is usual costs no allocation.
inline constexpr std::size_t kept_storage = 4096;

/// True when more than `kept` bytes are used to less than a quarter. Giving them back then costs
/// less than filling them did.
[[nodiscard]] inline bool is_oversized(std::size_t used, std::size_t capacity,
                                       std::size_t element_size, std::size_t kept) {
    return capacity * element_size > kept && used < capacity / 4;
}

template <typename T>
void give_back(std::vector<T>& vector, std::size_t kept = kept_storage) {
    if (is_oversized(vector.size(), vector.capacity(), sizeof(T), kept))
        vector.shrink_to_fit();
}

/// What the string holds is lost with its storage.
inline void give_back(std::string& scratch) {
    if (scratch.capacity() > kept_storage)
        std::string().swap(scratch);  // assigning would keep it
}

/// Of a hash table of the standard library: the array of its buckets.
template <typename Table>
void give_back_buckets(Table& table) {
    if (is_oversized(table.size(), table.bucket_count(), sizeof(void*), kept_storage))
        table.rehash(0);
}

}  // namespace inotify::detail
