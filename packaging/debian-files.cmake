# SPDX-License-Identifier: MIT
# Adds to each staged package its copyright and changelogs, and compresses what Debian compresses.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(GLOB components LIST_DIRECTORIES true ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*)
foreach(directory IN LISTS components)
  get_filename_component(component ${directory} NAME)
  set(docs ${directory}/usr/share/doc/${CPACK_INOTIFY_${component}_PACKAGE})
  configure_file(${CPACK_INOTIFY_SOURCE_DIR}/LICENSE ${docs}/copyright COPYONLY)
  configure_file(${CPACK_INOTIFY_SOURCE_DIR}/CHANGELOG.md ${docs}/changelog COPYONLY)
  file(WRITE ${docs}/changelog.Debian
    "inotify (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n"
    "  * Built by CPack from the sources of this version.\n\n"
    " -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
  file(GLOB compressed ${docs}/changelog* ${directory}/usr/share/man/man1/*.1)
  execute_process(COMMAND gzip -9nf ${compressed} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
