# Read by ctest (warren_lab_tests.cmake says when): asks `program` for its gtest cases and adds a test for each.
if(NOT EXISTS ${program})
  add_test(${prefix}NOT_BUILT ${program})
  set_tests_properties(${prefix}NOT_BUILT PROPERTIES LABELS lab)
  return()
endif()
execute_process(
  COMMAND ${program} --gtest_list_tests
  OUTPUT_VARIABLE listed
  RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "${program} --gtest_list_tests: ${code}")
endif()
string(REGEX REPLACE " +#[^\n]*" "" listed "${listed}") # the parameters' values
string(REPLACE "\n" ";" listed "${listed}")
foreach(line IN LISTS listed)
  if(line MATCHES "^([^ ]+)\\.$")
    set(suite ${CMAKE_MATCH_1})
  elseif(line MATCHES "^  ([^ ]+)$")
    set(case ${suite}.${CMAKE_MATCH_1})
    if(case MATCHES "DISABLED_")
      continue()
    endif()
    string(REPLACE "/" "_" directory ${prefix}${case})
    set(seconds 300)
    set(labels lab)
    if(suite MATCHES "Soak$")
      set(seconds 3600)
      set(labels lab soak)
    endif()
    add_test(${prefix}${case} ${lab_run} --keep-output ${output}/${directory} --timeout ${seconds} -- ${program}
             --gtest_filter=${case})
    # lab-run ends by itself: 600 s for a boot at most, and those for the test.
    math(EXPR timeout "${seconds} + 660")
    set_tests_properties(${prefix}${case} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout})
  endif()
endforeach()
