# SPDX-License-Identifier: MIT
# `cpack -G DEB` in a build of the preset `deb` makes a library, a -dev and a tool package.
set(CPACK_GENERATOR DEB)
# Who gives the packages to others has an address: cpack -D CPACK_PACKAGE_CONTACT="NAME <ADDRESS>".
set(CPACK_PACKAGE_CONTACT "the inotify authors <inotify@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development)
if(TARGET inotify-watch)
  list(APPEND CPACK_COMPONENTS_ALL tools)
endif()

# The library's name has the SONAME, so that two versions can be installed at once.
set(library_package libinotify${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
file(WRITE ${PROJECT_BINARY_DIR}/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/triggers)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_COMPONENT_DEVELOPMENT_DEPENDS runtime)
set(CPACK_COMPONENT_TOOLS_DEPENDS runtime)

set(about "A program loops over the events of files and directories, of whole trees and of
names that may come to lead elsewhere, with no callbacks and no dependencies.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${library_package})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "blocking iterator over inotify for C++\n${about}")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libinotify-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
  "blocking iterator over inotify for C++, development files\n${about}
These are the headers, the CMake package and the file for pkg-config.")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME inotify-watch)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "print what happens to files and trees
It prints events and batches of them, for people or as JSON lines, or runs a
command after each batch.")

# What is in Debian's packages alone.
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian-files.cmake)
set(CPACK_INOTIFY_SOURCE_DIR ${PROJECT_SOURCE_DIR})
foreach(component IN ITEMS runtime development tools)
  string(TOUPPER ${component} upper)
  set(CPACK_INOTIFY_${component}_PACKAGE ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
endforeach()
include(CPack)
