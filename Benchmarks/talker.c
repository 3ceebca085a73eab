// A talker on a socket that was made (and joined) by who starts this: RTP in real time, each packet with its time and number.
// usage: talker FD PORT PAYLOAD_TYPE SSRC FIRST COUNT RATE   (to 127.0.0.1:PORT; FIRST: the first packet's number)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int main(int argc, char **argv) {
    if (argc < 8) { fprintf(stderr, "usage: talker FD PORT PAYLOAD_TYPE SSRC FIRST COUNT RATE\n"); return 2; }
    int fd = atoi(argv[1]), count = atoi(argv[6]), rate = atoi(argv[7]);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned char packet[72] = {0x80};
    memset(packet + 26, 0x55, sizeof packet - 26);
    uint32_t ssrc = htonl(strtoul(argv[4], NULL, 10)), first = atoi(argv[5]);
    memcpy(packet + 8, &ssrc, 4);
    // A 20 ms packet of SILK wide band (RFC 6716, 3.1); 1: its time counts.
    packet[12] = 0x48;
    packet[25] = 1;
    struct timespec next, now;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (int i = 0; i < count; i++) {
        uint32_t index = first + i, timestamp = htonl(index * 960);
        uint16_t sequence = htons(index);
        packet[1] = atoi(argv[3]) | (i == 0 ? 0x80 : 0);
        memcpy(packet + 2, &sequence, 2);
        memcpy(packet + 4, &timestamp, 4);
        memcpy(packet + 21, &index, 4);
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t time = now.tv_sec * 1000000000LL + now.tv_nsec;
        memcpy(packet + 13, &time, 8);
        sendto(fd, packet, sizeof packet, 0, (struct sockaddr *)&to, sizeof to);
        next.tv_nsec += 1000000000 / rate;
        if (next.tv_nsec >= 1000000000) { next.tv_nsec -= 1000000000; next.tv_sec++; }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    return 0;
}
