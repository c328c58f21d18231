// What check_arrows.cmake has to name; see tests/CMakeLists.txt.
#include <grpcpp/grpcpp.h>

#include "manager/core.h"
