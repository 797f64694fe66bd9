# SPDX-License-Identifier: MIT
# The CMake package; both build systems install it.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/inotify-targets.cmake)
