/* Threads that come and go: each allocates a tree of small objects, leaves a part of it to its
 * parent and frees the rest. */
#include "stress.h"

typedef struct Node {
    struct Node *left, *right;
    char text[24];
} Node;

static Node *tree(int depth) {
    Node *node = written(sizeof *node);
    node->left = depth ? tree(depth - 1) : NULL;
    node->right = depth ? tree(depth - 1) : NULL;
    return node;
}

static void fell(Node *node) {
    if (!node) return;
    fell(node->left);
    fell(node->right);
    free(node);
}

static void *run(void *argument) {
    Node *own = tree((int)(uintptr_t)argument);
    Node *kept = own->left;
    fell(own->right);
    free(own);
    return kept;
}

int main(int argc, char **argv) {
    long rounds = scaled(argc, argv, 5000);
    for (long i = 0; i < rounds; i++) {
        pthread_t threads[4];
        for (int j = 0; j < 4; j++) start(&threads[j], run, (void *)(uintptr_t)(6 + (i + j) % 4));
        for (int j = 0; j < 4; j++) {
            void *kept = NULL;
            pthread_join(threads[j], &kept);
            fell(kept);
        }
    }
    return 0;
}
