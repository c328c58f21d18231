#pragma once

namespace warren::certs {

// Makes OpenSSL keep the numbers of private keys in its secure heap: pages that are not in core dumps and, as far as
// the process may lock memory, are not swapped out. Call once, in main, before there are keys. Where it can't be had
// keys are where they always were; that is logged.
void use_secure_heap();

}  // namespace warren::certs
