/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The limit for UDP: SIZE bytes in packets of 1,400 to each port of 127.0.0.1, FPS times a second,
 * by one sendmmsg() a frame and port (multiudpsink's way).
 *
 *   udp-limit SIZE FPS PORT… */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PACKET 1400
#define PACKETS_MAX 1024

int
main (int argc, char **argv)
{
  if (argc < 4)
    return 64;
  size_t size = strtoul (argv[1], NULL, 10);
  long ns = (long)(1e9 / atof (argv[2]));
  static char bytes[PACKET];
  static struct iovec iov[PACKETS_MAX];
  static struct mmsghdr messages[PACKETS_MAX];
  unsigned packets = (unsigned)((size + PACKET - 1) / PACKET);
  if (packets > PACKETS_MAX)
    return 64;
  int fd = socket (AF_INET, SOCK_DGRAM, 0);
  int timer = timerfd_create (CLOCK_MONOTONIC, 0);
  struct itimerspec tick = {{ns / 1000000000, ns % 1000000000}, {0, 1}};
  timerfd_settime (timer, 0, &tick, NULL);
  printf ("ready 0\n");
  fflush (stdout);
  for (;;) {
    uint64_t due;
    if (read (timer, &due, sizeof due) != sizeof due)
      return 1;
    for (int i = 3; i < argc; i++) {
      struct sockaddr_in to = {.sin_family = AF_INET,
          .sin_port = htons ((uint16_t)atoi (argv[i])),
          .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
      for (unsigned k = 0; k < packets; k++) {
        iov[k] = (struct iovec){bytes, k + 1 < packets ? PACKET : size - (packets - 1) * PACKET};
        messages[k].msg_hdr = (struct msghdr){
            .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov[k], .msg_iovlen = 1};
      }
      sendmmsg (fd, messages, packets, 0);
    }
  }
}
