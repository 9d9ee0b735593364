/* A Modbus TCP device on libmodbus for the tests: several clients at once, a log of coil changes with
 * CLOCK_MONOTONIC times, and faults on command.
 *
 *   modbus_server PORT          (0 = any free port)
 *
 * stdin, one command a line, each answered by "ok REQUESTS CLIENTS":
 *   input ADDRESS LEVEL         set a discrete input
 *   coil ADDRESS LEVEL          set a coil as another master would
 *   misbehave KIND COUNT MS     the next COUNT requests (0 = all) go wrong; KIND is one of late, wrong_value,
 *                               wrong_address, wrong_unit, wrong_transaction, exception, silent, close, garbage,
 *                               twice, dribble, stuck (echoes a coil write without
 *                               doing it); MS delays late, and each byte of dribble
 *   normal                      behave again
 *   drop                        close all connections now
 *   count                       only answer
 *   read ADDRESS                answers "ok LEVEL 0" instead, the level of a coil
 * stdout: "listening PORT", "coil NS ADDRESS LEVEL" for every change, and the answers. Ends with stdin. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ADDRESSES 1000
#define CLIENTS 32
#define WAITING 256
#define HEADER 7 /* MBAP: transaction 2, protocol 2, length 2, unit 1 */

struct waiting {
    int fd;
    int64_t due_ns;
    int length;
    uint8_t bytes[MODBUS_TCP_MAX_ADU_LENGTH];
};

static modbus_t *context;
static modbus_mapping_t *map;
static int clients[CLIENTS], client_count;
static struct waiting queue[WAITING];
static int queued;
static char fault[32] = "normal";
static int fault_count;
static int64_t fault_ns;
static unsigned long requests;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void set_coil(int address, int level) {
    if (address < 0 || address >= ADDRESSES || map->tab_bits[address] == level)
        return;
    printf("coil %lld %d %d\n", (long long)now_ns(), address, level);
    map->tab_bits[address] = level;
}

static void forget(int fd) {
    for (int i = 0; i < client_count; i++)
        if (clients[i] == fd)
            clients[i--] = clients[--client_count];
    for (int i = 0; i < queued; i++)
        if (queue[i].fd == fd)
            queue[i--] = queue[--queued];
    close(fd);
}

static void send_later(int fd, const uint8_t *bytes, int length, int64_t due_ns) {
    if (queued == WAITING)
        return;
    struct waiting *item = &queue[queued++];
    item->fd = fd;
    item->due_ns = due_ns;
    item->length = length;
    memcpy(item->bytes, bytes, length);
}

/* The right reply to function 1, 2 or 5, for a fault to spoil; 0 for any other function. */
static int right_reply(const uint8_t *query, int length, uint8_t *reply) {
    int function = query[HEADER], address = query[8] << 8 | query[9], count = query[10] << 8 | query[11];
    memcpy(reply, query, length);
    if (function == 5) {
        if (strcmp(fault, "stuck"))
            set_coil(address, query[10] == 0xFF);
        return length;
    }
    if ((function != 1 && function != 2) || count < 1 || count > 8)
        return 0;
    reply[5] = 4; /* unit, function, byte count, one byte of bits */
    reply[8] = 1;
    reply[9] = 0;
    for (int i = 0; i < count; i++)
        reply[9] |= (function == 1 ? map->tab_bits : map->tab_input_bits)[address + i] << i;
    return 10;
}

static void misbehave(int fd, const uint8_t *query, int length) {
    uint8_t reply[MODBUS_TCP_MAX_ADU_LENGTH];
    static const uint8_t noise[] = "\x00\x00HTTP/1.1 400 Bad Request\r\n\r\n";
    if (!strcmp(fault, "close")) {
        forget(fd);
        return;
    }
    if (!strcmp(fault, "exception")) {
        modbus_reply_exception(context, query, MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY);
        return;
    }
    if (!strcmp(fault, "garbage")) {
        send(fd, noise, sizeof noise - 1, MSG_NOSIGNAL);
        return;
    }
    int size = right_reply(query, length, reply);
    if (!strcmp(fault, "silent") || !size)
        return;
    if (!strcmp(fault, "late")) {
        send_later(fd, reply, size, now_ns() + fault_ns);
        return;
    }
    if (!strcmp(fault, "dribble")) {
        for (int i = 0; i < size; i++)
            send_later(fd, reply + i, 1, now_ns() + (i + 1) * fault_ns);
        return;
    }
    if (!strcmp(fault, "wrong_value"))
        reply[size == 10 ? 9 : 10] ^= size == 10 ? 0x01 : 0xFF;
    if (!strcmp(fault, "wrong_address"))
        reply[9] ^= 0x01;
    if (!strcmp(fault, "wrong_unit"))
        reply[6] ^= 0x01;
    if (!strcmp(fault, "wrong_transaction"))
        reply[1] ^= 0x01;
    send(fd, reply, size, MSG_NOSIGNAL);
    if (!strcmp(fault, "twice"))
        send(fd, reply, size, MSG_NOSIGNAL);
}

static void serve(int fd) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(context, fd);
    int length = modbus_receive(context, query);
    if (length == 0)
        return;
    if (length < 0) {
        forget(fd);
        return;
    }
    requests++;
    if (strcmp(fault, "normal")) {
        misbehave(fd, query, length);
        if (fault_count > 0 && --fault_count == 0)
            strcpy(fault, "normal");
        return;
    }
    if (query[HEADER] == 5)
        set_coil(query[8] << 8 | query[9], query[10] == 0xFF);
    modbus_reply(context, query, length, map);
}

static void obey(const char *line) {
    int address, level, ms;
    if (sscanf(line, "read %d", &address) == 1 && address >= 0 && address < ADDRESSES) {
        printf("ok %d 0\n", map->tab_bits[address]);
        return;
    }
    if (sscanf(line, "input %d %d", &address, &level) == 2 && address >= 0 && address < ADDRESSES)
        map->tab_input_bits[address] = level;
    else if (sscanf(line, "coil %d %d", &address, &level) == 2)
        set_coil(address, level);
    else if (sscanf(line, "misbehave %31s %d %d", fault, &fault_count, &ms) == 3)
        fault_ns = ms * 1000000LL;
    else if (!strcmp(line, "normal"))
        strcpy(fault, "normal");
    else if (!strcmp(line, "drop"))
        while (client_count)
            forget(clients[0]);
    printf("ok %lu %d\n", requests, client_count);
}

/* Complete lines from stdin, read without stdio so that select sees what is left. */
static void listen_to_stdin(void) {
    static char text[1024];
    static int held;
    int got = read(0, text + held, sizeof text - 1 - held);
    if (got <= 0)
        exit(0);
    held += got;
    char *end;
    while ((end = memchr(text, '\n', held)) != NULL) {
        *end = 0;
        obey(text);
        held -= end + 1 - text;
        memmove(text, end + 1, held);
    }
}

static void send_due(void) {
    int64_t now = now_ns();
    for (int i = 0; i < queued; i++)
        if (queue[i].due_ns <= now) {
            send(queue[i].fd, queue[i].bytes, queue[i].length, MSG_NOSIGNAL);
            queue[i--] = queue[--queued];
        }
}

static void loop(int listener) {
    for (;;) {
        struct timeval wait = {0, queued ? 500 : 100000};
        fd_set ready;
        int highest = listener;
        FD_ZERO(&ready);
        FD_SET(0, &ready);
        FD_SET(listener, &ready);
        for (int i = 0; i < client_count; i++) {
            FD_SET(clients[i], &ready);
            if (clients[i] > highest)
                highest = clients[i];
        }
        if (select(highest + 1, &ready, NULL, NULL, &wait) < 0)
            exit(1);
        send_due();
        if (FD_ISSET(0, &ready))
            listen_to_stdin();
        for (int i = client_count - 1; i >= 0; i--)
            if (i < client_count && FD_ISSET(clients[i], &ready))
                serve(clients[i]);
        if (FD_ISSET(listener, &ready) && client_count < CLIENTS) {
            int fd = listener;
            if (modbus_tcp_accept(context, &fd) >= 0)
                clients[client_count++] = modbus_get_socket(context);
        }
    }
}

int main(int count, char **arguments) {
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    context = modbus_new_tcp("127.0.0.1", count > 1 ? atoi(arguments[1]) : 0);
    map = modbus_mapping_new(ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES);
    if (context == NULL || map == NULL)
        return 1;
    int listener = modbus_tcp_listen(context, CLIENTS);
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&bound, &size)) {
        fprintf(stderr, "cannot listen: %s\n", modbus_strerror(errno));
        return 1;
    }
    printf("listening %d\n", ntohs(bound.sin_port));
    loop(listener);
}
