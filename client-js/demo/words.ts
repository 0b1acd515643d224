// What this page says beside what the package says, in its three languages.

import { el, en, es, type Words } from "carillon-client/locales";

export interface DemoWords {
  readonly language: string;
  readonly look: string;
  readonly looks: { readonly system: string; readonly light: string; readonly dark: string };
  readonly skip: string;
  readonly title: string;
  readonly lead: string;
  readonly steps: readonly (readonly [what: string, why: string])[];
  readonly tour: string;
  readonly done: string;
  readonly server: { readonly open: string; readonly lost: string; readonly idle: string };
  readonly state: { readonly open: string; readonly lost: string; readonly refused: string; readonly away: string; readonly connecting: string };
  readonly goOffline: string;
  readonly comeBack: string;
  readonly away: string;
  readonly inbox: string;
  readonly settings: string;
  readonly views: string;
  readonly why: string;
  readonly backEnd: string;
  readonly send: string;
  readonly another: string;
  readonly to: string;
  readonly everybody: string;
  readonly what: string;
  readonly freeText: string;
  readonly kind: string;
  readonly heading: string;
  readonly message: string;
  readonly speaks: string;
  readonly optional: string;
  readonly says: string;
  readonly priority: string;
  readonly priorities: { readonly low: string; readonly normal: string; readonly high: string; readonly urgent: string };
  readonly channels: string;
  readonly channel: { readonly in_app: string; readonly email: string; readonly push: string; readonly sms: string };
  readonly contacts: string;
  readonly contactsGiven: string;
  readonly answers: string;
  readonly noAnswers: string;
  readonly outcome: { readonly sending: string; readonly late: string; readonly sent: string; readonly stored: string; readonly spread: string; readonly refused: string };
  readonly timeline: string;
  readonly timelineOf: string;
  readonly noTimeline: string;
  readonly step: Readonly<Record<string, string>>;
  readonly happened: { readonly yes: string; readonly no: string; readonly unknown: string };
  readonly wire: string;
  readonly clear: string;
  readonly noWire: string;
  readonly code: string;
  readonly codeLead: string;
  readonly copy: string;
  readonly copied: string;
  readonly lookInside: string;
  readonly onlyHere: string;
  readonly licences: string;
  readonly types: Readonly<Record<string, string>>;
  readonly examples: readonly (readonly [type: string, title: string, message: string])[];
}

const english: DemoWords = {
  language: "Language",
  look: "Colours",
  looks: { system: "As the system", light: "Light", dark: "Dark" },
  skip: "Skip to “Send”",
  title: "One request. The right bell rings.",
  lead: "Your back end sends, at the left; two people listen, each over a connection of their own. Nothing in between is lost, and each step can be asked for.",
  tour: "Try this",
  steps: [
    ["Send", "A bell rings at once."],
    ["Take it offline, send again", "It is stored, not lost."],
    ["Come back", "It was waiting."],
    ["Mark it as read", "Every open tab agrees."],
    ["Restart the server", "All of it is still there."],
  ],
  done: "done",
  server: { open: "Server connected", lost: "Server away, reconnecting…", idle: "Nobody listens" },
  state: { open: "Listening", lost: "Connection lost. Coming back by itself…", refused: "Refused. Reload the page for new tokens.", away: "Away", connecting: "Connecting…" },
  goOffline: "Go offline",
  comeBack: "Come back",
  away: "{name} is away: as if the laptop were closed. What comes is kept.",
  inbox: "Inbox",
  settings: "Settings",
  views: "What is shown of {name}",
  why: "What became of it",
  backEnd: "Back end",
  send: "Send",
  another: "Another example",
  to: "For",
  everybody: "Everybody (broadcast)",
  what: "What",
  freeText: "Free text",
  kind: "Type",
  heading: "Title",
  message: "Message",
  speaks: "Language of the message",
  optional: "may be empty",
  says: "It will say",
  priority: "Priority",
  priorities: { low: "Low", normal: "Normal", high: "High", urgent: "Urgent" },
  channels: "By",
  channel: { in_app: "Here", email: "E-mail", push: "Push", sms: "Text message" },
  contacts: "Give both an e-mail address and a number",
  contactsGiven: "Both can be reached. Without a provider, what leaves is written into a file beside the database.",
  answers: "What the server answered",
  noAnswers: "Each answer is durable: written to disk first.",
  outcome: {
    sending: "Sending",
    late: "No answer yet. It is sent again by itself, and stored once.",
    sent: "{name} is online: kept on disk, then sent.",
    stored: "{name} has no open socket, or wants quiet: it is on disk and waits.",
    spread: "It is on disk, and on its way to everybody.",
    refused: "Not accepted",
  },
  timeline: "What became of it",
  timelineOf: "Number {id}, for {name}",
  noTimeline: "Send something, or choose something in an inbox: each step of its way stands here, and why others were not taken.",
  step: { accepted: "Accepted", scheduled: "Scheduled", cancelled: "Taken back", spread: "Spread", stored: "Stored", sent: "Sent", confirmed: "Confirmed", read: "Read", deleted: "Deleted", expired: "Expired" },
  happened: { yes: "yes", no: "no", unknown: "not known" },
  wire: "What crosses the sockets",
  clear: "Clear",
  noWire: "Nothing yet.",
  code: "Your code",
  codeLead: "Three ways to listen, one to send. Copied, they carry working tokens.",
  copy: "Copy",
  copied: "Copied",
  lookInside: "Look inside:",
  onlyHere: "This page and its tokens exist in development only, and only for a browser on this machine.",
  licences: "Licences of what it is made of",
  types: { order_status: "Orders", grade_update: "Grades", course_update: "Courses", newsletter: "Newsletter" },
  examples: [
    ["order_status", "Order 1041 was shipped", "It should be with you on Thursday."],
    ["newsletter", "What is new in May", "Three long reads, and a puzzle."],
    ["security_alert", "Somebody signed in", "From a browser that we have not seen before."],
    ["order_status", "Your parcel waits", "At the shop at the corner, until Saturday."],
  ],
};

const spanish: DemoWords = {
  language: "Idioma",
  look: "Colores",
  looks: { system: "Como el sistema", light: "Claro", dark: "Oscuro" },
  skip: "Ir a «Enviar»",
  title: "Una petición. Suena la campana adecuada.",
  lead: "Su servidor envía, a la izquierda; dos personas escuchan, cada una con su propia conexión. Nada se pierde por el camino, y se puede preguntar por cada paso.",
  tour: "Pruebe esto",
  steps: [
    ["Envíe", "Una campana suena enseguida."],
    ["Desconecte y envíe otra vez", "Se guarda, no se pierde."],
    ["Vuelva", "Estaba esperando."],
    ["Márquela como leída", "Todas las pestañas coinciden."],
    ["Reinicie el servidor", "Todo sigue ahí."],
  ],
  done: "hecho",
  server: { open: "Servidor conectado", lost: "Sin servidor, reconectando…", idle: "Nadie escucha" },
  state: { open: "Escuchando", lost: "Conexión perdida. Vuelve sola…", refused: "Rechazada. Recargue la página.", away: "Ausente", connecting: "Conectando…" },
  goOffline: "Desconectar",
  comeBack: "Volver",
  away: "{name} no está: como si hubiera cerrado el portátil. Lo que llega se guarda.",
  inbox: "Bandeja",
  settings: "Ajustes",
  views: "Qué se muestra de {name}",
  why: "Qué fue de ella",
  backEnd: "Servidor propio",
  send: "Enviar",
  another: "Otro ejemplo",
  to: "Para",
  everybody: "Todo el mundo (difusión)",
  what: "Qué",
  freeText: "Texto libre",
  kind: "Tipo",
  heading: "Título",
  message: "Mensaje",
  speaks: "Idioma del mensaje",
  optional: "puede quedar vacío",
  says: "Dirá",
  priority: "Prioridad",
  priorities: { low: "Baja", normal: "Normal", high: "Alta", urgent: "Urgente" },
  channels: "Por",
  channel: { in_app: "Aquí", email: "Correo", push: "Push", sms: "Mensaje de texto" },
  contacts: "Dar a ambos un correo y un número",
  contactsGiven: "Se puede llegar a ambos. Sin proveedor, lo que sale se escribe en un archivo junto a la base de datos.",
  answers: "Qué respondió el servidor",
  noAnswers: "Cada respuesta es duradera: primero se escribe en el disco.",
  outcome: {
    sending: "Enviando",
    late: "Aún sin respuesta. Se envía otra vez, y se guarda una sola.",
    sent: "{name} está en línea: guardada en el disco y enviada.",
    stored: "{name} no tiene conexión abierta, o quiere silencio: está en el disco y espera.",
    spread: "Está en el disco, y de camino a todo el mundo.",
    refused: "No aceptada",
  },
  timeline: "Qué fue de ella",
  timelineOf: "Número {id}, para {name}",
  noTimeline: "Envíe algo o elija algo de una bandeja: aquí está cada paso de su camino, y por qué no se dieron otros.",
  step: { accepted: "Aceptada", scheduled: "Programada", cancelled: "Retirada", spread: "Repartida", stored: "Guardada", sent: "Enviada", confirmed: "Confirmada", read: "Leída", deleted: "Borrada", expired: "Caducada" },
  happened: { yes: "sí", no: "no", unknown: "no se sabe" },
  wire: "Qué pasa por las conexiones",
  clear: "Vaciar",
  noWire: "Nada todavía.",
  code: "Su código",
  codeLead: "Tres maneras de escuchar, una de enviar. Al copiarlas llevan testigos válidos.",
  copy: "Copiar",
  copied: "Copiado",
  lookInside: "Mire dentro:",
  onlyHere: "Esta página y sus testigos existen solo en desarrollo, y solo para un navegador en esta máquina.",
  licences: "Licencias de sus componentes",
  types: { order_status: "Pedidos", grade_update: "Notas", course_update: "Cursos", newsletter: "Boletín" },
  examples: [
    ["order_status", "Su pedido 1041 ha salido", "Debería llegar el jueves."],
    ["newsletter", "Novedades de mayo", "Tres lecturas largas y un acertijo."],
    ["security_alert", "Alguien ha entrado", "Desde un navegador que no conocíamos."],
    ["order_status", "Su paquete espera", "En la tienda de la esquina, hasta el sábado."],
  ],
};

const greek: DemoWords = {
  language: "Γλώσσα",
  look: "Χρώματα",
  looks: { system: "Όπως το σύστημα", light: "Φωτεινά", dark: "Σκούρα" },
  skip: "Μετάβαση στην «Αποστολή»",
  title: "Ένα αίτημα. Χτυπά το σωστό κουδούνι.",
  lead: "Ο διακομιστής σας στέλνει, αριστερά· δύο άνθρωποι ακούν, ο καθένας με δική του σύνδεση. Τίποτα δεν χάνεται στον δρόμο, και κάθε βήμα φαίνεται.",
  tour: "Δοκιμάστε",
  steps: [
    ["Στείλτε", "Ένα κουδούνι χτυπά αμέσως."],
    ["Αποσυνδέστε, στείλτε πάλι", "Φυλάσσεται, δεν χάνεται."],
    ["Επιστρέψτε", "Περίμενε."],
    ["Σημειώστε την ως αναγνωσμένη", "Όλες οι καρτέλες συμφωνούν."],
    ["Επανεκκινήστε τον διακομιστή", "Όλα είναι ακόμη εκεί."],
  ],
  done: "έγινε",
  server: { open: "Ο διακομιστής είναι συνδεδεμένος", lost: "Χωρίς διακομιστή, επανασύνδεση…", idle: "Κανείς δεν ακούει" },
  state: { open: "Ακούει", lost: "Η σύνδεση χάθηκε. Επανέρχεται μόνη της…", refused: "Απορρίφθηκε. Ανανεώστε τη σελίδα.", away: "Απών/απούσα", connecting: "Σύνδεση…" },
  goOffline: "Αποσύνδεση",
  comeBack: "Επιστροφή",
  away: "{name}: εκτός σύνδεσης, σαν να έκλεισε ο φορητός υπολογιστής. Ό,τι έρχεται φυλάσσεται.",
  inbox: "Εισερχόμενα",
  settings: "Ρυθμίσεις",
  views: "Τι φαίνεται: {name}",
  why: "Τι απέγινε",
  backEnd: "Διακομιστής σας",
  send: "Αποστολή",
  another: "Άλλο παράδειγμα",
  to: "Για",
  everybody: "Όλους (εκπομπή)",
  what: "Τι",
  freeText: "Ελεύθερο κείμενο",
  kind: "Είδος",
  heading: "Τίτλος",
  message: "Μήνυμα",
  speaks: "Γλώσσα του μηνύματος",
  optional: "μπορεί να μείνει κενό",
  says: "Θα λέει",
  priority: "Προτεραιότητα",
  priorities: { low: "Χαμηλή", normal: "Κανονική", high: "Υψηλή", urgent: "Επείγον" },
  channels: "Μέσω",
  channel: { in_app: "Εδώ", email: "E-mail", push: "Push", sms: "Γραπτό μήνυμα" },
  contacts: "Δώστε και στους δύο διεύθυνση και αριθμό",
  contactsGiven: "Και οι δύο είναι προσβάσιμοι. Χωρίς πάροχο, ό,τι φεύγει γράφεται σε αρχείο δίπλα στη βάση δεδομένων.",
  answers: "Τι απάντησε ο διακομιστής",
  noAnswers: "Κάθε απάντηση είναι ανθεκτική: πρώτα γράφεται στον δίσκο.",
  outcome: {
    sending: "Αποστολή",
    late: "Χωρίς απάντηση ακόμη. Στέλνεται πάλι μόνο του, και φυλάσσεται μία φορά.",
    sent: "{name}: σε σύνδεση. Φυλάχθηκε στον δίσκο και στάλθηκε.",
    stored: "{name}: χωρίς ανοιχτή σύνδεση, ή θέλει ησυχία. Είναι στον δίσκο και περιμένει.",
    spread: "Είναι στον δίσκο, και στον δρόμο προς όλους.",
    refused: "Δεν έγινε δεκτό",
  },
  timeline: "Τι απέγινε",
  timelineOf: "Αριθμός {id}, για: {name}",
  noTimeline: "Στείλτε κάτι, ή διαλέξτε κάτι από τα εισερχόμενα: εδώ φαίνεται κάθε βήμα του, και γιατί δεν έγιναν άλλα.",
  step: { accepted: "Έγινε δεκτό", scheduled: "Προγραμματίστηκε", cancelled: "Ανακλήθηκε", spread: "Διαδόθηκε", stored: "Φυλάχθηκε", sent: "Στάλθηκε", confirmed: "Επιβεβαιώθηκε", read: "Διαβάστηκε", deleted: "Διαγράφηκε", expired: "Έληξε" },
  happened: { yes: "ναι", no: "όχι", unknown: "άγνωστο" },
  wire: "Τι περνά από τις συνδέσεις",
  clear: "Εκκαθάριση",
  noWire: "Τίποτα ακόμη.",
  code: "Ο κώδικάς σας",
  codeLead: "Τρεις τρόποι να ακούτε, ένας να στέλνετε. Όταν αντιγράφονται, φέρουν διακριτικά που ισχύουν.",
  copy: "Αντιγραφή",
  copied: "Αντιγράφηκε",
  lookInside: "Δείτε μέσα:",
  onlyHere: "Αυτή η σελίδα και τα διακριτικά της υπάρχουν μόνο κατά την ανάπτυξη, και μόνο για πρόγραμμα περιήγησης σε αυτό το μηχάνημα.",
  licences: "Άδειες των μερών της",
  types: { order_status: "Παραγγελίες", grade_update: "Βαθμοί", course_update: "Μαθήματα", newsletter: "Ενημερωτικό" },
  examples: [
    ["order_status", "Η παραγγελία 1041 εστάλη", "Θα είναι κοντά σας την Πέμπτη."],
    ["newsletter", "Τα νέα του Μαΐου", "Τρία μεγάλα κείμενα και ένας γρίφος."],
    ["security_alert", "Κάποιος συνδέθηκε", "Από πρόγραμμα περιήγησης που δεν έχουμε ξαναδεί."],
    ["order_status", "Το δέμα σας περιμένει", "Στο κατάστημα στη γωνία, ως το Σάββατο."],
  ],
};

export const LANGUAGES: Readonly<Record<string, { readonly name: string; readonly own: DemoWords; readonly words: Words }>> = {
  en: { name: "English", own: english, words: en },
  el: { name: "Ελληνικά", own: greek, words: el },
  es: { name: "Español", own: spanish, words: es },
};

export const ENGLISH = { name: "English", own: english, words: en };
