/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Viewers for the bench: opens N connections, asks each for PATH, reads and forgets what comes.
 *
 *   sink PORT N PATH      prints the bytes of all each second
 *   sink PORT N PATH ws   the same, for MSE over a WebSocket */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int
open_one (int port, const char *request)
{
  int fd = socket (AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
      .sin_port = htons ((uint16_t)port),
      .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  if (fd < 0 || connect (fd, (struct sockaddr *)&address, sizeof address) ||
      write (fd, request, strlen (request)) < 0)
    exit (1);
  return fd;
}

/* Waits for the answer to the upgrade and asks for H.264. */
static void
ask_for_mse (int fd)
{
  static const char message[] = "{\"type\":\"mse\",\"value\":\"avc1.640029\"}";
  static char frame[6 + sizeof message - 1] = {(char)0x81, (char)(0x80 | (sizeof message - 1))};
  char answer[1024];
  size_t got = 0;
  memcpy (frame + 6, message, sizeof message - 1); /* masked with zeros */
  do {
    ssize_t n = recv (fd, answer + got, sizeof answer - 1 - got, 0);
    if (n <= 0)
      exit (2);
    got += (size_t)n;
    answer[got] = '\0';
  } while (!strstr (answer, "\r\n\r\n"));
  if (write (fd, frame, sizeof frame) < 0)
    exit (1);
}

int
main (int argc, char **argv)
{
  if (argc < 4)
    return 64;
  char request[512];
  static char waste[1 << 18];
  snprintf (request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", argv[3],
      argc > 4 ? "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
               : "");
  int epoll = epoll_create1 (0), n = atoi (argv[2]);
  for (int i = 0; i < n; i++) {
    int fd = open_one (atoi (argv[1]), request);
    if (argc > 4)
      ask_for_mse (fd);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl (epoll, EPOLL_CTL_ADD, fd, &event);
  }
  uint64_t total = 0;
  time_t said = time (NULL);
  for (;;) {
    struct epoll_event events[256];
    int ready = epoll_wait (epoll, events, 256, 1000);
    for (int i = 0; i < ready; i++) {
      ssize_t got = recv (events[i].data.fd, waste, sizeof waste, MSG_DONTWAIT);
      if (got == 0)
        close (events[i].data.fd);
      else if (got > 0)
        total += (uint64_t)got;
    }
    if (time (NULL) != said) {
      said = time (NULL);
      printf ("bytes %llu\n", (unsigned long long)total);
      fflush (stdout);
    }
  }
}
