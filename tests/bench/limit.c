/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The limit: the least a program can do to send the same bytes to the same sockets. Accepts
 * connections and writes SIZE bytes to each, FPS times a second; never looks at what it sends.
 *
 *   limit SIZE FPS        prints "ready PORT" */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CLIENTS_MAX 4096

static int
listen_on_loopback (void)
{
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (fd < 0 || bind (fd, (struct sockaddr *)&address, length) || listen (fd, 512) ||
      getsockname (fd, (struct sockaddr *)&address, &length))
    exit (1);
  printf ("ready %d\n", ntohs (address.sin_port));
  fflush (stdout);
  return fd;
}

int
main (int argc, char **argv)
{
  if (argc != 3)
    return 64;
  size_t size = strtoul (argv[1], NULL, 10);
  long ns = (long)(1e9 / atof (argv[2]));
  char *bytes = calloc (1, size);
  int clients[CLIENTS_MAX], n = 0, on = 1, buffer = 512 * 1024;
  int listener = listen_on_loopback ();
  int timer = timerfd_create (CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec tick = {{ns / 1000000000, ns % 1000000000}, {0, 1}};
  timerfd_settime (timer, 0, &tick, NULL);
  int epoll = epoll_create1 (0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl (epoll, EPOLL_CTL_ADD, listener, &event);
  event.data.fd = timer;
  epoll_ctl (epoll, EPOLL_CTL_ADD, timer, &event);
  for (;;) {
    struct epoll_event events[8];
    int ready = epoll_wait (epoll, events, 8, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd == listener) {
        int fd = accept4 (listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0 || n == CLIENTS_MAX)
          continue;
        setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt (fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        clients[n++] = fd;
      } else {
        uint64_t due;
        if (read (timer, &due, sizeof due) != sizeof due)
          continue;
        for (int c = 0; c < n; c++)
          if (write (clients[c], bytes, size) < 0 && errno != EAGAIN) {
            close (clients[c]);
            clients[c--] = clients[--n];
          }
      }
    }
  }
}
