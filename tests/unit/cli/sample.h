#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "cli/text.h"

namespace warren::cli {

// 2027-01-15 08:00:00 UTC
inline constexpr std::int64_t kSampleNow = 1'800'000'000'000;
inline const View kSampleView{.now = base::Time(base::Duration(kSampleNow))};
inline const View kSampleColourView{.now = kSampleView.now, .colour = true};

// A message of the API from its text form.
template <typename Message>
Message sample(const std::string& text) {
    Message message;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
    return message;
}

}  // namespace warren::cli
