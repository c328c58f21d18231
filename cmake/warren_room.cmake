# warren_room() and warren_room_test(): one room = one directory = one namespace = one static library.
include(${CMAKE_CURRENT_LIST_DIR}/arrows.cmake)
include(GoogleTest)

# The include check needs no compiler, only the table and the sources.
add_custom_target(arrows COMMAND ${CMAKE_COMMAND} -P ${CMAKE_SOURCE_DIR}/cmake/check_arrows.cmake COMMENT "")

function(warren_use_flags target)
  target_link_libraries(${target} PRIVATE warren_flags warren_warnings)
  if(WARREN_TIDY)
    set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY "${CLANG_TIDY_PROGRAM};--quiet")
  endif()
endfunction()

# warren_room(NAME <room> SRCS <files> [ROOMS <rooms>] [LIBS <targets>] [PRIVATE_LIBS <targets>])
# makes the static library warren_<room>, alias warren::<room>.
function(warren_room)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;ROOMS;LIBS;PRIVATE_LIBS" ${ARGN})
  warren_reachable(${ARG_NAME} allowed)
  foreach(used IN LISTS ARG_ROOMS)
    if(NOT used IN_LIST allowed)
      list(JOIN allowed " " allowed)
      message(FATAL_ERROR "forbidden arrow: ${ARG_NAME} -> ${used} (link); ${ARG_NAME} may use: ${allowed}. "
                          "The table is cmake/arrows.cmake, its reasons are in docs/architecture.md.")
    endif()
  endforeach()
  foreach(library IN LISTS ARG_LIBS ARG_PRIVATE_LIBS)
    string(REGEX REPLACE "^warren(::|_)" "" used "${library}")
    if(used IN_LIST WARREN_ROOMS)
      message(FATAL_ERROR "${ARG_NAME}: ${library} is a room: name it under ROOMS, where the arrow is checked")
    endif()
  endforeach()
  add_library(warren_${ARG_NAME} STATIC ${ARG_SRCS})
  add_library(warren::${ARG_NAME} ALIAS warren_${ARG_NAME})
  warren_use_flags(warren_${ARG_NAME})
  foreach(used IN LISTS ARG_ROOMS)
    target_link_libraries(warren_${ARG_NAME} PUBLIC warren::${used})
  endforeach()
  target_link_libraries(warren_${ARG_NAME} PUBLIC ${ARG_LIBS} PRIVATE ${ARG_PRIVATE_LIBS})
  add_dependencies(warren_${ARG_NAME} arrows)
endfunction()

# warren_room_test(<room> SRCS <files> [LIBS <targets>]): the binary <room>_test, each of its tests one ctest test.
# Discovery waits for the test run, so that building executes nothing.
function(warren_room_test room)
  cmake_parse_arguments(ARG "" "" "SRCS;LIBS" ${ARGN})
  add_executable(${room}_test ${ARG_SRCS})
  warren_use_flags(${room}_test)
  target_link_libraries(${room}_test PRIVATE warren::${room} ${ARG_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  add_dependencies(unit_tests ${room}_test)
  gtest_discover_tests(
    ${room}_test
    TEST_PREFIX "${room}."
    DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS unit TIMEOUT 60 ENVIRONMENT "${WARREN_TEST_ENVIRONMENT}")
endfunction()
