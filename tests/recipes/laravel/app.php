<?php
// A Laravel application with Eloquent on SQLite, the observer of docs/RECIPES.md, and a scene: each
// argument is a step. Installed by Debian's php-laravel-framework, php-guzzlehttp-guzzle and php-sqlite3.
error_reporting(E_ALL & ~E_DEPRECATED);
require 'Illuminate/autoload.php';
require 'GuzzleHttp/autoload.php';
foreach (glob(stream_resolve_include_path('Illuminate/Foundation').'/helpers.php') as $helpers) require_once $helpers;
require getcwd().'/CacheMirror.php';
require getcwd().'/CacheMirrorObserver.php';

use App\Observers\CacheMirrorObserver;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\SoftDeletes;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Schema;

class Product extends Model { use SoftDeletes; protected $guarded = []; }
class Menu extends Model { protected $guarded = []; }
class Reporter implements Illuminate\Contracts\Debug\ExceptionHandler {
    public function report(Throwable $e) { echo 'reported: '.get_class($e).": ".$e->getMessage().PHP_EOL; }
    public function shouldReport(Throwable $e) { return true; }
    public function render($request, Throwable $e) { throw $e; }
    public function renderForConsole($output, Throwable $e) { throw $e; }
}
// What a request of the web is: work is done once the answer is sent.
class Web extends Illuminate\Foundation\Application { public function runningInConsole() { return false; } }

function scene(string $kind): Illuminate\Foundation\Application {
    $app = $kind === 'web' ? new Web(getcwd()) : new Illuminate\Foundation\Application(getcwd());
    $services = require getcwd().'/services.php';
    $database = ['driver' => 'sqlite', 'database' => getcwd().'/database.sqlite', 'prefix' => ''];
    $app->instance('config', new Illuminate\Config\Repository([
        'services' => $services, 'database' => ['default' => 'main', 'connections' => ['main' => $database]]]));
    $app->instance(Illuminate\Contracts\Debug\ExceptionHandler::class, new Reporter());
    Illuminate\Support\Facades\Facade::setFacadeApplication($app);
    $app->register(Illuminate\Database\DatabaseServiceProvider::class);
    $app->boot();
    return $app;
}

$steps = array_slice($argv, 2);
touch(getcwd().'/database.sqlite');
$app = scene($argv[1]);
if (!Schema::hasTable('products')) {
    Schema::create('products', function ($table) {
        $table->id(); $table->timestamps(); $table->softDeletes();
        foreach (['name', 'slug', 'price', 'admin_notes'] as $column) $table->string($column)->nullable();
    });
    Schema::create('menus', function ($table) { $table->id(); $table->timestamps(); $table->string('name'); });
}
Product::observe(CacheMirrorObserver::class);
Menu::observe(CacheMirrorObserver::class);
$later = fn () => Illuminate\Support\Carbon::setTestNow(now()->addMinute()); // for updated_at
$product = fn () => Product::withTrashed()->find(1);
foreach ($steps as $step) {
    $later();
    switch ($step) {
        case 'create': Product::create(['name' => 'Red', 'slug' => 'red', 'price' => '1', 'admin_notes' => '']); break;
        case 'price': $product()->update(['price' => (string) microtime(true)]); break;
        case 'slug': $product()->update(['slug' => 'blue']); break;
        case 'notes': $product()->update(['admin_notes' => (string) microtime(true)]); break;
        case 'touch': $product()->touch(); break;
        case 'delete': $product()->delete(); break;
        case 'restore': $product()->restore(); break;
        case 'force': $product()->forceDelete(); break;
        case 'menu': Menu::create(['name' => 'Main']); break;
        case 'touch_menu':
            // Timestamps count seconds: a touch within the second of the creation changes nothing.
            \Illuminate\Support\Carbon::setTestNow(\Illuminate\Support\Carbon::now()->addMinute());
            Menu::find(1)->touch(); break;
        case 'commit': DB::transaction(function () use ($product) { $product()->update(['slug' => 'green']); echo "saved\n"; }); break;
        case 'rollback':
            try { DB::transaction(function () use ($product) { $product()->update(['price' => '9']); throw new LogicException(); }); }
            catch (LogicException $e) {}
            break;
        default: exit("unknown step $step\n");
    }
    echo "$step\n";
}
echo "the answer is sent\n";
$app->terminate();
