/* felix, the daemon: owns the parts and wires them together.
 */
#ifndef SELVAGE_FELIX_FELIX_H
#define SELVAGE_FELIX_FELIX_H

/* The process's whole life; the value for exit(). */
int felix_main(void);

#endif
