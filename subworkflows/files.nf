// Files between the door and the tasks. Included by others, includes nothing itself.

/** A file in the work folder with this text: the same file in every run that has the same text. */
def kept(text, name) {
    def place = workDir.resolve("kept/${text.md5()}/${name}")
    if (!place.exists()) {
        place.parent.mkdirs()
        def part = place.resolveSibling("${name}.part")
        part.text = text
        part.moveTo(place)
    }
    return place
}

/**
 * The file at a path or URI, null where there is none. Nextflow stages local files under their real path, and a
 * shell could read some characters in it as code or as a pattern: such a file is reached under a plain name.
 */
def stageable(path) {
    def place = reached(path)
    if (place == null) {
        return null
    }
    def local = place.fileSystem == java.nio.file.FileSystems.default
    return !local || isPlain(place.toRealPath().toString()) ? place : plainlyNamed(place)
}

/** What is at a path or URI, null (and a warning) where nothing is, or where this Nextflow cannot look. */
def reached(path) {
    def reason = ''
    try {
        def place = file(path, glob: false)
        if (place.exists()) {
            return place
        }
    }
    catch (Exception problem) {
        reason = " (${problem.message})"
    }
    log.warn("${path}: cannot be reached${reason}")
    return null
}

def isPlain(path) {
    return path ==~ /[\p{L}\p{M}\p{N} _.,:;=+@%~()'\/-]*/
}

/** A second name of a file, or a copy where the file system has no room for two names; a copy of a folder. */
def plainlyNamed(target) {
    if (target.isDirectory()) {
        return copyOfFolder(target)
    }
    def place = workDir.resolve("kept/${target.toString().md5()}/file${extension(target)}")
    def same = place.exists() && place.size() == target.size() && place.lastModified() == target.lastModified()
    if (!same) {
        place.parent.mkdirs()
        java.nio.file.Files.deleteIfExists(place)
        try {
            java.nio.file.Files.createLink(place, target)
        }
        catch (IOException | UnsupportedOperationException _problem) {
            java.nio.file.Files.copy(target, place, java.nio.file.StandardCopyOption.COPY_ATTRIBUTES)
        }
    }
    return place
}

/** A copy that is made anew when a file of the folder has changed. */
def copyOfFolder(target) {
    def state = target.listFiles().sort().collect { item -> "${item} ${item.size()} ${item.lastModified()}" }
    def copy = workDir.resolve("kept/${state.join('\n').md5()}/folder")
    if (!copy.exists()) {
        copy.parent.mkdirs()
        target.copyTo(copy)
    }
    return copy
}

/** A file or folder that the user named, which has to be there. */
def existing(path) {
    return stageable(path) ?: error("${path}: no such file or folder; check the path")
}

/** The extension by which an image or a table is read: .nii.gz, .nii, .mgz, .tsv, … */
def extension(path) {
    def name = path.toString().toLowerCase()
    return ['.nii.gz', '.nii', '.mgh.gz', '.mgz', '.mgh', '.tsv', '.csv'].find { known -> name.endsWith(known) } ?: ''
}

/** A map or list as JSON text, the same for the same content. */
def json(content) {
    return groovy.json.JsonOutput.prettyPrint(groovy.json.JsonOutput.toJson(content))
}

def fromJson(text) {
    return new groovy.json.JsonSlurperClassic().parseText(text)
}

/** All items of a channel as one list in the order of their names; an empty list where there are none. */
def sorted(items) {
    return items.toSortedList { a, b -> a.name <=> b.name }
}

/**
 * [unit, failure.json] for every scan or visit that a step was given and that it neither served nor refused: tasks
 * that were killed or crashed on every try leave nothing behind, and the ledger must hear of them too.
 */
def unfinished(step, given, finished) {
    return given
        .map { unit -> [unit.id, unit] }
        .join(finished.map { items -> [items[0].id, true] }, remainder: true)
        .filter { _id, _unit, done -> !done }
        .map { _id, unit, _done ->
            def words = [
                step: step,
                file: unit.id,
                what: 'the task was killed or crashed on every try, so there is no output',
                advice: 'see its exit status in pipeline_info/execution_trace.txt and its messages in .nextflow.log; give it more memory or time if it was killed',
            ]
            [unit, kept(json(words), "${unit.id}.${step}.failure.json")]
        }
}
