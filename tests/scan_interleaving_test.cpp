// SPDX-License-Identifier: MIT
// A first scan that threads share, on the simulated kernel: what happens between any two of their
// calls.
#include "any_operation.hpp"
#include "schedule.hpp"
#include "support.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <iostream>
#include <random>
#include <string>

// The order of their calls is sampled, as are the moments of the operations. Of many directories a
// batch is applied while the next one is looked at.
TEST_CASE("threads that share a first scan keep the promises in any order of their calls") {
    const auto [first, last] = test::seeds(5'000);
    std::size_t turns = 0;
    for (unsigned seed = first; seed <= last; ++seed) {
        std::mt19937_64 random(seed);
        const std::size_t names = 2 + random() % 3;
        const bool is_wide = seed % 20 == 0;
        test::Setup setup;
        setup.world.mkdir("/r");
        setup.world.mkdir("/o");
        for (int i = 0; is_wide && i < 150; ++i)
            for (const char* below : {"", "/x"})
                setup.world.mkdir("/r/" + std::to_string(i) + below);
        for (int i = 0; i < 60; ++i)
            test::any_operation(random, names).run(setup.world);
        setup.while_scanning = seed % 4 != 0;
        setup.options.scan_threads = 2 + static_cast<unsigned>(random() % 3);
        if (seed % 16 == 0)  // what is created in the excluded is not reported
            setup.options.exclude = test::excluding(setup.exclude = "*d");
        setup.world.workers_have_directories = seed % 3 != 0;
        setup.world.counts_subdirectories = is_wide || seed % 2 == 0;
        setup.world.unknown_types = seed % 5 == 0;
        setup.world.lists_as_of_rewind = seed % 8 < 3;
        if (seed % 7 < 3)
            setup.world.listed_at_once = 1 + seed % 3;
        sim::World world = setup.world;
        while (setup.script.size() < 8) {
            test::Op op = test::any_operation(random, names);
            if (op.run(world) != 0)
                continue;
            if (random() % 2 == 0)
                op.split = random() % 6;
            setup.script.push_back(op);
        }
        const std::size_t rarely = is_wide ? 100 : 2 + random() % 8;
        setup.world.choose_worker = [&turns, random](std::size_t running) mutable {
            ++turns;
            return random() % running;
        };
        if (test::run(setup, test::sampled_moments(seed, rarely)).error.empty())
            continue;
        FAIL("seed " << seed << ": "
                     << test::describe_failure(setup, test::sampled_moments(seed, rarely)));
    }
    std::cout << "scans on several threads: seeds " << first << " to " << last << ", " << turns
              << " calls in a chosen order\n";
    CHECK(turns > 0);
}
