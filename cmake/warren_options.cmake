# Language and flags. Everything sits on the interface target `warren_flags`, which only our own targets link:
# warnings are errors for our code and for nobody else's.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(WARREN_SANITIZERS "" CACHE STRING "Value of -fsanitize=, e.g. address,undefined")
option(WARREN_HARDENED "Hardened release flags" OFF)
option(WARREN_FUZZ "Build the libFuzzer targets (clang)" OFF)
option(WARREN_TIDY "Run clang-tidy beside the compiler" OFF)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_CURRENT_LIST_DIR}/ccached ${CCACHE_PROGRAM})
endif()

add_library(warren_flags INTERFACE)
target_include_directories(warren_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(warren_flags INTERFACE SPDLOG_FMT_EXTERNAL ASIO_STANDALONE ASIO_NO_DEPRECATED)

# Warnings apart from the flags above: the generated protobuf code takes those, not these.
add_library(warren_warnings INTERFACE)
target_compile_options(
  warren_warnings
  INTERFACE -Wall
            -Wextra
            -Wpedantic
            -Wshadow
            -Wconversion
            -Wsign-conversion
            -Wold-style-cast
            -Wnon-virtual-dtor
            -Woverloaded-virtual
            -Wcast-align
            -Wnull-dereference
            -Wimplicit-fallthrough
            -Wswitch-enum
            -Werror
            $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
            # A designated initialiser that leaves the rest at its default is the style here.
            -Wno-missing-field-initializers
            # g++ 12 sees null behind every optional of a sanitized build.
            $<$<CXX_COMPILER_ID:GNU>:-Wno-null-dereference>
            # g++ 12 reports members of moved-from std::optional and tl::expected as maybe uninitialised.
            $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)

if(WARREN_SANITIZERS)
  target_compile_options(warren_flags INTERFACE -fsanitize=${WARREN_SANITIZERS} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all)
  target_link_options(warren_flags INTERFACE -fsanitize=${WARREN_SANITIZERS})
endif()
if(WARREN_SANITIZERS MATCHES thread)
  # ThreadSanitizer knows no fences, which g++ makes an error; what Asio's loops hand over goes through a mutex as well.
  target_compile_definitions(warren_flags INTERFACE ASIO_DISABLE_FENCED_BLOCK)
  # protobuf's map fields have two more members where its headers see ThreadSanitizer (map_field.h), and Debian's library
  # was built without. libstdc++ has to know all the same: shared_ptr does a check that looks like a race.
  target_compile_options(warren_flags INTERFACE -U__SANITIZE_THREAD__ -D_GLIBCXX_TSAN=1)
  set(WARREN_TEST_ENVIRONMENT
      "TSAN_OPTIONS=history_size=7 report_thread_leaks=0 ignore_noninstrumented_modules=1 suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp")
endif()

if(WARREN_HARDENED)
  target_compile_definitions(warren_flags INTERFACE _FORTIFY_SOURCE=2 _GLIBCXX_ASSERTIONS)
  target_compile_options(warren_flags INTERFACE -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  target_link_options(warren_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
endif()

find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM AND NOT CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  target_link_options(warren_flags INTERFACE -fuse-ld=mold)
endif()

if(WARREN_TIDY)
  find_program(CLANG_TIDY_PROGRAM NAMES clang-tidy-14 clang-tidy REQUIRED)
endif()
