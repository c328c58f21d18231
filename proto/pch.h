#pragma once

// Precompiled for the rooms that speak gRPC: these headers take longer to compile than all of our code.
#include <fmt/format.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "proto/bootstrap.grpc.pb.h"
#include "proto/control.grpc.pb.h"
#include "proto/local.grpc.pb.h"
#include "proto/session.grpc.pb.h"
#include "proto/state.pb.h"
