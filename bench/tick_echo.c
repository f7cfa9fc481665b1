/* The floor of bench_tick.py: blocking sockets, a frame in, as many bytes as an order out. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_port(int port) {
    int one = 1, sock = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(sock, (struct sockaddr *)&to, sizeof to)) { perror("connect"); exit(1); }
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return sock;
}

static void say(int sock, const char *data, size_t size) {
    if (write(sock, data, size) != (ssize_t)size) { perror("write"); exit(1); }
}

static int open_websocket(int port, const char *path) {
    char text[512];
    int sock = open_port(port), at = 0;
    int size = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n", path);
    say(sock, text, (size_t)size);
    do {
        if (read(sock, text + at, 1) != 1) { perror("handshake"); exit(1); }
        at++;
    } while (at < 4 || memcmp(text + at - 4, "\r\n\r\n", 4));
    return sock;
}

int main(int count, char **words) {
    static char in[1 << 18];
    char order[400];
    (void)count;
    int port = atoi(words[1]);
    int market = open_websocket(port, "/market"), orders = open_websocket(port, "/order");
    int control = open_port(port);
    say(control, "control\n", 8);
    /* A masked text frame; a mask of zeros leaves the text as it is. */
    memset(order, 0, sizeof order);
    order[0] = (char)0x81;
    order[1] = (char)(0x80 | 126);
    order[2] = (char)((sizeof order - 8) >> 8);
    order[3] = (char)((sizeof order - 8) & 255);
    memset(order + 8, 'y', sizeof order - 8);
    memcpy(order + 8, "{\"id\":17,\"method\":\"order.place\",\"params\":{\"x\":\"", 47);
    for (;;) {
        /* One of the relay's lines, then frames until it sends another. */
        fd_set set;
        FD_ZERO(&set);
        FD_SET(market, &set);
        FD_SET(control, &set);
        if (select((market > control ? market : control) + 1, &set, 0, 0, 0) < 0) return 1;
        if (FD_ISSET(market, &set)) {
            if (read(market, in, sizeof in) <= 0) return 0;
            say(orders, order, sizeof order);
            say(control, "r", 1);
        }
        if (FD_ISSET(control, &set)) {
            if (read(control, in, sizeof in) <= 0) return 0;
            say(control, "r", 1);
        }
    }
}
