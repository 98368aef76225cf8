/* A PKCS #11 module in front of SoftHSM that misbehaves on demand. CHIRON_TEST_MODULE says how:
 *   hang-initialize   C_Initialize never returns
 *   hang-sign         C_Sign never returns
 *   wrong-signature   C_Sign turns a bit of what SoftHSM signed
 *   short-signature   C_Sign gives a signature that is too short
 *   removed           the first C_SignInit finds the token gone, as after taking it out and putting it back
 *   count-logins      each C_Login adds a line to the file $CHIRON_TEST_MODULE_LOG
 * Anything else: it passes everything on. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* CK_FUNCTION_LIST of PKCS #11 2.40: a version and 68 functions, in the order of the standard. */
enum { INITIALIZE = 0, GET_FUNCTION_LIST = 3, LOGIN = 18, SIGN_INIT = 42, SIGN = 43, FUNCTIONS = 68 };
struct list {
    unsigned char major, minor;
    void *function[FUNCTIONS];
};

static struct list list, *real;

static int asked(const char *how) {
    const char *what = getenv("CHIRON_TEST_MODULE");
    return what != NULL && strcmp(what, how) == 0;
}

static void hang(void) {
    for (;;) sleep(3600);
}

static unsigned long initialize(void *arguments) {
    if (asked("hang-initialize")) hang();
    return ((unsigned long (*)(void *))real->function[INITIALIZE])(arguments);
}

static unsigned long login(unsigned long session, unsigned long user, unsigned char *pin, unsigned long length) {
    const char *log = getenv("CHIRON_TEST_MODULE_LOG");
    if (asked("count-logins") && log != NULL) {
        FILE *file = fopen(log, "a");
        if (file != NULL) {
            fputs("login\n", file);
            fclose(file);
        }
    }
    return ((unsigned long (*)(unsigned long, unsigned long, unsigned char *, unsigned long))real->function[LOGIN])(
        session, user, pin, length);
}

static unsigned long sign_init(unsigned long session, void *mechanism, unsigned long key) {
    static int removed;
    if (asked("removed") && !removed) {
        removed = 1;
        return 0x32; /* CKR_DEVICE_REMOVED */
    }
    return ((unsigned long (*)(unsigned long, void *, unsigned long))real->function[SIGN_INIT])(session, mechanism, key);
}

static unsigned long sign(unsigned long session, unsigned char *data, unsigned long data_length,
                          unsigned char *signature, unsigned long *length) {
    if (asked("hang-sign")) hang();
    unsigned long status =
        ((unsigned long (*)(unsigned long, unsigned char *, unsigned long, unsigned char *, unsigned long *))
             real->function[SIGN])(session, data, data_length, signature, length);
    if (status == 0 && signature != NULL) {
        if (asked("wrong-signature")) signature[40] ^= 1;
        if (asked("short-signature")) *length = 12;
    }
    return status;
}

static unsigned long get_function_list(struct list **found);

__attribute__((visibility("default"))) unsigned long C_GetFunctionList(struct list **found) {
    return get_function_list(found);
}

static unsigned long get_function_list(struct list **found) {
    if (real == NULL) {
        void *library = dlopen(REAL_MODULE, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) return 5;
        unsigned long (*get)(struct list **) =
            (unsigned long (*)(struct list **))dlsym(library, "C_GetFunctionList");
        if (get == NULL || get(&real) != 0) return 5;
        list = *real;
        list.function[INITIALIZE] = (void *)initialize;
        list.function[GET_FUNCTION_LIST] = (void *)get_function_list;
        list.function[LOGIN] = (void *)login;
        list.function[SIGN_INIT] = (void *)sign_init;
        list.function[SIGN] = (void *)sign;
    }
    *found = &list;
    return 0;
}
