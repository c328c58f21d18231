# warren_lab_tests(<target> [PREFIX <prefix>]): each gtest case of <target> is one ctest test of label `lab`, named
# <prefix><suite>.<case> and run by scripts/lab-run where the kernel has ESP. Its logs are in lab-output/<name> of the
# build directory. The cases are listed when ctest starts: building executes nothing.
function(warren_lab_tests target)
  cmake_parse_arguments(ARG "" "PREFIX" "" ${ARGN})
  add_dependencies(lab_tests ${target})
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${target}_lab_tests.cmake)
  file(GENERATE OUTPUT ${file} CONTENT "set(program $<TARGET_FILE:${target}>)
set(prefix \"${ARG_PREFIX}\")
set(lab_run ${CMAKE_SOURCE_DIR}/scripts/lab-run)
set(output ${CMAKE_BINARY_DIR}/lab-output)
include(${CMAKE_SOURCE_DIR}/cmake/list_lab_tests.cmake)
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${file})
endfunction()
