// SPDX-License-Identifier: MIT
// Counts what operator new gives. Not with a sanitizer, which has an operator new of its own.
#pragma once

namespace test {

/// How often memory was allocated.
long allocations() noexcept;

/// The bytes that are allocated now.
long bytes_in_use() noexcept;

}  // namespace test
