// warren-hold: has a socket open, and nothing else. The kernel hands ESP in UDP on only while somebody has the socket
// that it comes to, and this process stays when the daemon is restarted; see fdstore/fd_store.h.
#include <unistd.h>

int main() {
    if (::chdir("/") != 0) {
        return 1;
    }
    ::close(STDOUT_FILENO);  // tells whoever started it that it runs
    for (;;) {
        ::pause();
    }
}
