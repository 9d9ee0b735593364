/* A PLC with a gate of its own (gate_program.c) behind a Modbus TCP server (libmodbus), and the conveyor before it.
 *
 *   gate_plc SCAN_MS TRAVEL_MS PULSE_MS PITCH_MS HEARTBEAT_MS
 *
 * Registers from 100 on hold the line's block, from 180 on the PLC's; discrete input 0 is the photo-eye. Requests are
 * answered at any time, the program runs every SCAN_MS. Parts come every PITCH_MS, give or take a fifth.
 *
 * stdin, each line answered by "ok": "parts COUNT", "mistake NUMBER", "stop" (the program stands, requests are
 * answered), "run", "restart" (and what it knew is lost), "cut" and "mend" the cable (the program goes on), "count"
 * (answers "ok ENDED").
 * stdout: "listening PORT", and for every part that came by the gate "event part BORN_NS PASSED" (CLOCK_MONOTONIC). */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "gate_program.h"

enum { REGISTERS = 400, BASE = 100, CLIENTS = 8, BELT = 256, LONG_NS = 20000000, LONGEST_NS = 100000000 };

static modbus_t *context;
static modbus_mapping_t *map;
static int clients[CLIENTS], client_count;
static struct program plc;
static int64_t scan_ns, next_scan_ns, scanned_ns, asked_ns, next_part_ns, begun_ns;
static int64_t belt[BELT];
static int first, last, to_come, ended, runs = 1, is_cut;
static char wish; /* to stop or restart, between two passing parts: no register shows a gate that falls while one passes */

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The belt: a part covers the eye for LONG_NS from its birth; its middle is at the gate half a pulse after the gate, which
 * the program moves up to two scans late, has moved for it. */
static void move_belt(int64_t now) {
    if (to_come > 0 && now >= next_part_ns && (last + 1) % BELT != first) {
        belt[last] = now;
        last = (last + 1) % BELT;
        to_come--;
        int pitch = plc.pitch;
        next_part_ns = now + (pitch + rand() % (pitch * 2 / 5 + 1) - pitch / 5) * 1000000LL;
    }
    int64_t way = scan_ns + (plc.travel + plc.pulse / 2) * 1000000LL;
    while (first != last && now - belt[first] >= way) {
        printf("event part %lld %d\n", (long long)belt[first], plc.passing);
        first = (first + 1) % BELT;
        ended++;
    }
}

/* A part that this process was too late for stays until a scan has seen it: a PLC's scans are not that late. And it stays
 * for a while until somebody has asked for it: a trigger is read as often as that on a machine that is not busy. */
static int eye(int64_t now) {
    int64_t newest = belt[(last + BELT - 1) % BELT];
    if (first == last)
        return 0;
    int is_waited_for = asked_ns < newest && now - newest < LONGEST_NS;
    return now - newest < LONG_NS || is_waited_for || (runs && scanned_ns < newest);
}

static void fulfil(void) {
    if (wish == 's')
        runs = 0;
    if (wish == 'r')
        program_start(&plc);
    wish = 0;
}

static void scan(int64_t now) {
    scanned_ns = now;
    memcpy(plc.line, map->tab_registers + BASE, sizeof plc.line);
    uint32_t ms = (now - begun_ns) / 1000000;
    program_scan(&plc, ms, ms, map->tab_input_bits[0]);
    memcpy(map->tab_registers + BASE + PLC_BASE, plc.shown, sizeof plc.shown);
}

static void obey(char *line) {
    char *word = strtok(line, " ");
    char *value = strtok(NULL, " ");
    if (!strcmp(word, "parts")) {
        to_come += atoi(value);
        next_part_ns = now_ns();
    } else if (!strcmp(word, "mistake")) {
        plc.mistake = atoi(value);
    } else if (!strcmp(word, "stop")) {
        wish = 's';
    } else if (!strcmp(word, "run")) {
        runs = 1;
        wish = 0;
    } else if (!strcmp(word, "cut") || !strcmp(word, "mend")) {
        is_cut = word[0] == 'c';
    } else if (!strcmp(word, "restart")) {
        wish = 'r';
    }
    printf("ok %d\n", ended);
}

/* Complete lines, read without stdio so that select sees what is left. */
static void listen_to_stdin(void) {
    static char text[2048];
    static int held;
    int got = read(0, text + held, sizeof text - 1 - held);
    if (got <= 0)
        exit(0);
    held += got;
    char *end;
    while ((end = memchr(text, '\n', held)) != NULL) {
        int length = end + 1 - text;
        *end = 0;
        obey(text);
        held -= length;
        memmove(text, text + length, held);
    }
}

static void serve(int index) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(context, clients[index]);
    int length = modbus_receive(context, query);
    if (length > 0 && !is_cut) {
        modbus_reply(context, query, length, map);
        if (query[7] == MODBUS_FC_READ_DISCRETE_INPUTS && map->tab_input_bits[0])
            asked_ns = now_ns();
    }
    if (length < 0) {
        close(clients[index]);
        clients[index] = clients[--client_count];
    }
}

static void wait_for_requests(int listener) {
    struct timeval wait = {0, 1000};
    fd_set ready;
    int highest = listener;
    FD_ZERO(&ready);
    FD_SET(0, &ready);
    FD_SET(listener, &ready);
    for (int i = 0; i < client_count; i++) {
        FD_SET(clients[i], &ready);
        highest = clients[i] > highest ? clients[i] : highest;
    }
    if (select(highest + 1, &ready, NULL, NULL, &wait) <= 0)
        return;
    if (FD_ISSET(0, &ready))
        listen_to_stdin();
    for (int i = client_count - 1; i >= 0; i--)
        if (FD_ISSET(clients[i], &ready))
            serve(i);
    if (FD_ISSET(listener, &ready) && client_count < CLIENTS) {
        int fd = listener;
        if (modbus_tcp_accept(context, &fd) >= 0)
            clients[client_count++] = modbus_get_socket(context);
    }
}

int main(int count, char **words) {
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    if (count != 6)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    context = modbus_new_tcp("127.0.0.1", 0);
    map = modbus_mapping_new(0, 8, REGISTERS, 0);
    int listener = context && map ? modbus_tcp_listen(context, CLIENTS) : -1;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&bound, &size)) {
        fprintf(stderr, "cannot listen: %s\n", modbus_strerror(errno));
        return 1;
    }
    scan_ns = atoi(words[1]) * 1000000LL;
    plc.travel = atoi(words[2]);
    plc.pulse = atoi(words[3]);
    plc.pitch = atoi(words[4]);
    plc.heartbeat_ms = atoi(words[5]);
    begun_ns = next_scan_ns = now_ns();
    program_start(&plc);
    printf("listening %d\n", ntohs(bound.sin_port));
    for (;;) {
        wait_for_requests(listener);
        int64_t now = now_ns();
        move_belt(now);
        map->tab_input_bits[0] = eye(now);
        if (wish && !plc.passing)
            fulfil();
        if (runs && now >= next_scan_ns) {
            scan(now);
            next_scan_ns = now - next_scan_ns > scan_ns ? now + scan_ns : next_scan_ns + scan_ns;
        }
    }
}
