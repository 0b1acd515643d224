// Why a step of a timeline was taken or not, in the languages of this page. The server says it in English, for developers, and its
// words may change: what is not here stays as it is.

type Sentences = readonly (readonly [english: string, greek: string, spanish: string])[];

const SENTENCES: Sentences = [
  ["durable from {x}, of priority {x}", "μόνιμα, από {x}, με προτεραιότητα {x}", "duradera, de {x}, con prioridad {x}"],
  ["durable, of priority {x}", "μόνιμα, με προτεραιότητα {x}", "duradera, con prioridad {x}"],
  ["it is kept, and found by its id; it is neither listed nor counted, and not told over sockets", "φυλάσσεται και βρίσκεται με το id της· δεν εμφανίζεται, δεν μετρά και δεν λέγεται από συνδέσεις", "se guarda y se encuentra por su id; ni se muestra ni se cuenta, ni se dice por conexiones"],
  ["it is in the inbox; over sockets it is not told yet", "είναι στα εισερχόμενα· από συνδέσεις δεν λέγεται ακόμη", "está en la bandeja; por conexiones aún no se dice"],
  ["it is in the inbox; over sockets a summary told of it", "είναι στα εισερχόμενα· από συνδέσεις την είπε μια σύνοψη", "está en la bandeja; por conexiones la dijo un resumen"],
  ["it is in the inbox; over sockets it comes in its order, and again until it is confirmed", "είναι στα εισερχόμενα· από συνδέσεις έρχεται με τη σειρά της, και πάλι ώσπου να επιβεβαιωθεί", "está en la bandeja; por conexiones llega en su orden, y otra vez hasta que se confirme"],
  ["{x}, by the recipient's preferences", "{x}, κατά τις ρυθμίσεις του παραλήπτη", "{x}, según los ajustes del destinatario"],
  ["the channel is switched off", "ο δρόμος είναι απενεργοποιημένος", "el canal está desactivado"],
  ["the type is switched off for this channel", "το είδος είναι απενεργοποιημένο για αυτόν τον δρόμο", "el tipo está desactivado para este canal"],
  ["the topic is switched off for this channel", "το θέμα είναι απενεργοποιημένο για αυτόν τον δρόμο", "el tema está desactivado para este canal"],
  ["its sender did not ask for the channel", "ο αποστολέας δεν ζήτησε αυτόν τον δρόμο", "quien la envió no pidió este canal"],
  ["its sender did not ask for this channel", "ο αποστολέας δεν ζήτησε αυτόν τον δρόμο", "quien la envió no pidió este canal"],
  ["the recipient had quiet hours; it expired before it could be told", "ο παραλήπτης είχε ώρες ησυχίας· έληξε πριν ειπωθεί", "el destinatario tenía horas de silencio; caducó antes de poder decirse"],
  ["the recipient has quiet hours; it is told then, unless it has expired, at {x}", "ο παραλήπτης έχει ώρες ησυχίας· λέγεται μετά, αν δεν έχει λήξει, στις {x}", "el destinatario tiene horas de silencio; se dice después, si no ha caducado, a las {x}"],
  ["the recipient has quiet hours; it is told then", "ο παραλήπτης έχει ώρες ησυχίας· λέγεται μετά", "el destinatario tiene horas de silencio; se dice después"],
  ["it waited: the recipient had quiet hours", "περίμενε: ο παραλήπτης είχε ώρες ησυχίας", "esperó: el destinatario tenía horas de silencio"],
  ["the client said so", "το είπε ο πελάτης", "lo dijo el cliente"],
  ["it was read, so it had arrived", "διαβάστηκε, άρα είχε φτάσει", "se leyó, luego había llegado"],
  ["the socket outlived a heartbeat round after it was sent", "η σύνδεση άντεξε έναν κύκλο παλμών αφού στάλθηκε", "la conexión sobrevivió una ronda de latidos tras el envío"],
  ["no device has confirmed it yet", "καμία συσκευή δεν την έχει επιβεβαιώσει ακόμη", "ningún dispositivo la ha confirmado todavía"],
  ["the recipient marked it, or all, as read", "ο παραλήπτης τη σημείωσε, ή όλες, ως αναγνωσμένη", "el destinatario la marcó, o todas, como leída"],
  ["the recipient has not marked it as read", "ο παραλήπτης δεν τη σημείωσε ως αναγνωσμένη", "el destinatario no la ha marcado como leída"],
  ["the recipient removed it from the inbox", "ο παραλήπτης τη διέγραψε από τα εισερχόμενα", "el destinatario la quitó de la bandeja"],
  ["from then on it is not listed, nor told", "από τότε δεν εμφανίζεται ούτε λέγεται", "desde entonces no se muestra ni se dice"],
  ["a socket of the recipient took it", "την πήρε μια σύνδεση του παραλήπτη", "la tomó una conexión del destinatario"],
  ["it was found in a list, or told by another node", "βρέθηκε σε λίστα, ή την είπε άλλος κόμβος", "se encontró en una lista, o la dijo otro nodo"],
  ["a socket took it; whether it arrived shows within a minute", "την πήρε μια σύνδεση· αν έφτασε φαίνεται μέσα σε ένα λεπτό", "la tomó una conexión; en un minuto se verá si llegó"],
  ["not known here: no device confirmed it before it expired, and it is told no more", "άγνωστο εδώ: καμία συσκευή δεν την επιβεβαίωσε πριν λήξει, και δεν λέγεται πια", "no se sabe aquí: ningún dispositivo la confirmó antes de caducar, y ya no se dice"],
  ["not known here: a socket of the recipient is connected to this node, and has not confirmed it", "άγνωστο εδώ: μια σύνδεση του παραλήπτη είναι σε αυτόν τον κόμβο, και δεν την επιβεβαίωσε", "no se sabe aquí: una conexión del destinatario está en este nodo y no la ha confirmado"],
  ["not known here: no socket of the recipient is connected to this node now, and another node, {x}", "άγνωστο εδώ: καμία σύνδεση του παραλήπτη σε αυτόν τον κόμβο τώρα. Χωρίς επιβεβαίωση, λέγεται πάλι στην επιστροφή", "no se sabe aquí: ninguna conexión del destinatario en este nodo ahora. Sin confirmar, se dice otra vez a la vuelta"],
  ["it was not sent to this recipient", "δεν στάλθηκε σε αυτόν τον παραλήπτη", "no se envió a este destinatario"],
  ["it is spreading, and has not come to this recipient yet", "διαδίδεται, και δεν έφτασε ακόμη σε αυτόν τον παραλήπτη", "se está repartiendo, y aún no ha llegado a este destinatario"],
  ["{x} people have it: everybody of the tenant", "την έχουν {x}: όλοι", "la tienen {x}: todo el mundo"],
  ["{x} people have it so far, of everybody of the tenant", "την έχουν {x} ως τώρα, από όλους", "la tienen {x} hasta ahora, de todo el mundo"],
  ["it was due then", "ήταν για τότε", "tocaba entonces"],
];

const pattern = (sentence: string) => new RegExp(`^${sentence.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replaceAll("{x}", "(.+?)")}$`, "s");
const KNOWN = SENTENCES.map(([english, ...others]) => ({ seen: pattern(english), others }));

/** `said` in the language `tag`; null if there are no words for it, or if it is in English already. */
export function translated(tag: string, said: string): string | null {
  const language = ["el", "es"].indexOf(tag);
  if (language < 0) return null;
  for (const { seen, others } of KNOWN) {
    const found = seen.exec(said);
    if (found === null) continue;
    let hole = 0;
    return (others[language] ?? said).replaceAll("{x}", () => {
      hole += 1;
      const put = found[hole] ?? "";
      return translated(tag, put) ?? put;
    });
  }
  return null;
}
