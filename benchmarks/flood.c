/* Writes TOTAL bytes of 100-byte lines to standard output, BLOCK bytes a write, as fast as they
 * are taken, once FIFO was told that it begins (16 bytes: nanoseconds, pid). Says so again at the
 * end, and waits to be killed. With PERIOD it writes a block each so many nanoseconds, and catches
 * up if it was held up. Begins half a second after it was started, when its supervisor is done with
 * all that comes with a start: that is measured elsewhere.
 *
 * flood FIFO BLOCK TOTAL [PERIOD]
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100 };

static void tell(int fifo)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long record[2] = {now.tv_sec * 1000000000L + now.tv_nsec, getpid()};
    if (write(fifo, record, sizeof record) < 0)
        _exit(1);
}

int main(int count, char **words)
{
    if (count < 4)
        return 2;
    int fifo = open(words[1], O_WRONLY);
    long block = atol(words[2]), left = atol(words[3]);
    char *text = malloc(block + LINE);
    for (long at = 0; at < block; at += LINE) {
        memset(text + at, 'x', LINE - 1);
        text[at + LINE - 1] = '\n';
    }
    usleep(500000);
    long period = count > 4 ? atol(words[4]) : 0;
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    tell(fifo);
    while (left > 0) {
        if (period) {
            due.tv_nsec += period;
            due.tv_sec += due.tv_nsec / 1000000000L;
            due.tv_nsec %= 1000000000L;
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        }
        ssize_t written = write(1, text, left < block ? left : block);
        if (written < 0)
            return 1;
        left -= written;
    }
    tell(fifo);
    for (;;)
        pause();
}
