// SPDX-License-Identifier: MIT
// The runner of the tests that need Asio.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
