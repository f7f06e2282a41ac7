/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RTSP viewers for the bench: N sessions of one track, over TCP or UDP; reads and forgets what
 * comes.
 *
 *   rtsp-sink tcp|udp PORT N NAME     prints the bytes of all each second
 *   rtsp-sink bare 0 N -              no server: N UDP sockets; prints "ports P P P …" first */
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

static struct sockaddr_in
loopback (int port)
{
  return (struct sockaddr_in){.sin_family = AF_INET,
      .sin_port = htons ((uint16_t)port),
      .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
}

static int
bind_udp (int port)
{
  int fd = socket (AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
  struct sockaddr_in address = loopback (port);
  setsockopt (fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (fd >= 0 && bind (fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  close (fd);
  return -1;
}

static int
port_of (int fd)
{
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  getsockname (fd, (struct sockaddr *)&address, &length);
  return ntohs (address.sin_port);
}

/* An even port and its neighbour. */
static int
bind_pair (int *rtcp)
{
  for (;;) {
    int rtp = bind_udp (0);
    if (rtp < 0)
      exit (1);
    *rtcp = port_of (rtp) % 2 ? -1 : bind_udp (port_of (rtp) + 1);
    if (*rtcp >= 0)
      return rtp;
    close (rtp);
  }
}

/* Sends a request and reads the head of its answer, and its body. */
static void
ask (int fd, const char *request, char *answer, size_t size)
{
  size_t got = 0;
  if (write (fd, request, strlen (request)) < 0)
    exit (1);
  char *end;
  do {
    ssize_t n = recv (fd, answer + got, size - 1 - got, 0);
    if (n <= 0)
      exit (2);
    got += (size_t)n;
    answer[got] = '\0';
    end = strstr (answer, "\r\n\r\n");
    const char *length = strstr (answer, "Content-Length: ");
    if (end && length && length < end &&
        got < (size_t)(end - answer) + 4 + strtoul (length + 16, NULL, 10))
      end = NULL;
  } while (!end);
  if (strncmp (answer, "RTSP/1.0 200", 12) != 0) {
    fprintf (stderr, "%s", answer);
    exit (3);
  }
}

static int
play (int port, const char *name, int udp, int *media)
{
  char request[1024], answer[1 << 16], session[64] = "", transport[128];
  int fd = socket (AF_INET, SOCK_STREAM, 0), rtcp = -1;
  struct sockaddr_in address = loopback (port);
  if (fd < 0 || connect (fd, (struct sockaddr *)&address, sizeof address))
    exit (1);
  snprintf (request, sizeof request,
      "DESCRIBE rtsp://127.0.0.1:%d/%s RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n",
      port, name);
  ask (fd, request, answer, sizeof answer);
  char control[64] = "", *at = strstr (answer, "m=video");
  if (!at || !(at = strstr (at, "a=control:")) || sscanf (at, "a=control:%63[^\r\n]", control) != 1)
    exit (4);
  if (udp) {
    *media = bind_pair (&rtcp);
    snprintf (transport, sizeof transport, "RTP/AVP;unicast;client_port=%d-%d", port_of (*media),
        port_of (*media) + 1);
  } else {
    *media = fd;
    snprintf (transport, sizeof transport, "RTP/AVP/TCP;unicast;interleaved=0-1");
  }
  snprintf (request, sizeof request,
      "SETUP rtsp://127.0.0.1:%d/%s/%s RTSP/1.0\r\nCSeq: 2\r\nTransport: %s\r\n\r\n", port, name,
      control, transport);
  ask (fd, request, answer, sizeof answer);
  at = strstr (answer, "Session: ");
  if (!at || sscanf (at, "Session: %63[^;\r\n]", session) != 1)
    exit (5);
  snprintf (request, sizeof request,
      "PLAY rtsp://127.0.0.1:%d/%s/ RTSP/1.0\r\nCSeq: 3\r\nSession: %s\r\n\r\n", port, name,
      session);
  ask (fd, request, answer, sizeof answer);
  return fd;
}

int
main (int argc, char **argv)
{
  if (argc != 5)
    return 64;
  static char waste[1 << 18];
  int epoll = epoll_create1 (0), n = atoi (argv[3]), bare = !strcmp (argv[1], "bare");
  if (bare)
    printf ("ports");
  for (int i = 0; i < n; i++) {
    int media, rtcp;
    if (bare) {
      media = bind_pair (&rtcp);
      printf (" %d", port_of (media));
    } else {
      play (atoi (argv[2]), argv[4], !strcmp (argv[1], "udp"), &media);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = media};
    epoll_ctl (epoll, EPOLL_CTL_ADD, media, &event);
  }
  if (bare)
    printf ("\n");
  fflush (stdout);
  uint64_t total = 0;
  time_t said = time (NULL);
  for (;;) {
    struct epoll_event events[256];
    int ready = epoll_wait (epoll, events, 256, 1000);
    for (int i = 0; i < ready; i++) {
      ssize_t got = recv (events[i].data.fd, waste, sizeof waste, MSG_DONTWAIT);
      if (got > 0)
        total += (uint64_t)got;
      else if (got == 0)
        close (events[i].data.fd);
    }
    if (time (NULL) != said) {
      said = time (NULL);
      printf ("bytes %llu\n", (unsigned long long)total);
      fflush (stdout);
    }
  }
}
